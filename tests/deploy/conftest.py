"""The images and the compose file, once for all tests of them, and no longer: a mesh takes its share of two cores."""

import asyncio
import os
import shutil
from collections.abc import Iterator

import pytest

from tests.conftest import require
from tests.deploy.model import KEY, URL
from tests.deploy.stack import DOWN_S, Stack
from tests.integration.sandbox.engines import OWN_NETWORK, PrivateEngine
from tests.nats import binary
from tests.postgresql import binaries

REPLICAS = {"gateway": 2, "capability": 2, "learning": 2, "fitness": 1, "sandbox": 1}
PROGRAMS = ("dockerd", "docker-compose", "ip", "iptables", "bwrap", "nsenter", "openssl", "wget")


@pytest.fixture(scope="module")
def engine() -> Iterator[PrivateEngine]:
    """An engine with a network of its own."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    require(not missing and os.geteuid() == 0, f"root is needed, and: {', '.join(missing)}")
    engine = PrivateEngine(program=OWN_NETWORK)
    try:
        asyncio.run(engine.start())
        yield engine
    finally:
        engine.remove()


@pytest.fixture(scope="module")
def built(engine: PrivateEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """That engine, with the images."""
    programs = binaries()
    require(programs, "PostgreSQL is not installed")
    assert programs is not None
    nats = binary()
    require(nats, "nats-server is not installed")
    assert nats is not None
    stack = Stack(tmp_path_factory.mktemp("compose"), engine.address)
    stack.prepare(programs, nats)
    stack.build()
    yield stack
    stack.client.close()


@pytest.fixture(scope="module")
def stack(built: Stack) -> Iterator[Stack]:
    """The mesh, with two replicas of some services, healthy."""
    built.up(REPLICAS)
    yield built
    built.compose("down", "--volumes", "--remove-orphans", "--timeout", "5", timeout_s=DOWN_S)
    assert not built.left()


@pytest.fixture
def with_model(stack: Stack) -> Iterator[Stack]:
    """The same mesh, with a language model's address and key laid over it. Afterwards it is as it was."""
    key = stack.folder / "secrets" / "llm_api_key"
    key.write_text(KEY)
    # In a container the reader is another user.
    key.chmod(0o444)
    over = stack.laid_over(
        "deploy/compose.llm.yml",
        AUTODEV_LEARNING_LLM_MODEL="openai:a-model",
        AUTODEV_LEARNING_LLM_BASE_URL=f"{URL}/v1",
        AUTODEV_LEARNING_LLM_USD_PER_MILLION_INPUT_TOKENS="1",
        AUTODEV_LEARNING_LLM_USD_PER_MILLION_OUTPUT_TOKENS="2",
    )
    try:
        over.renew("learning", REPLICAS)
        yield over
    finally:
        stack.renew("learning", REPLICAS)
        stack.remove_unused_networks()
