"""The images and the compose file, once for all tests of them, and no longer: a mesh takes its share of two cores."""

import asyncio
import os
import shutil
from collections.abc import Iterator

import pytest

from tests.conftest import require
from tests.deploy.stack import DOWN_S, Stack
from tests.integration.sandbox.engines import OWN_NETWORK, PrivateEngine
from tests.nats import binary
from tests.postgresql import binaries

REPLICAS = {"gateway": 2, "capability": 2, "learning": 2, "fitness": 1, "sandbox": 1}
PROGRAMS = ("dockerd", "docker-compose", "ip", "iptables", "bwrap", "openssl", "wget")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """An engine that has the images."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    require(not missing and os.geteuid() == 0, f"root is needed, and: {', '.join(missing)}")
    programs = binaries()
    require(programs, "PostgreSQL is not installed")
    assert programs is not None
    nats = binary()
    require(nats, "nats-server is not installed")
    assert nats is not None
    engine = PrivateEngine(program=OWN_NETWORK)
    try:
        asyncio.run(engine.start())
        stack = Stack(tmp_path_factory.mktemp("compose"), engine.address)
        stack.prepare(programs, nats)
        stack.build()
        yield stack
        stack.client.close()
    finally:
        engine.remove()


@pytest.fixture(scope="module")
def stack(built: Stack) -> Iterator[Stack]:
    """The mesh, with two replicas of some services, healthy."""
    built.up(REPLICAS)
    yield built
    built.compose("down", "--volumes", "--remove-orphans", "--timeout", "5", timeout_s=DOWN_S)
    assert not built.left()
