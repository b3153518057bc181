"""The backends, real ones, each made ready once."""

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from autodev_sandbox import rootfs
from autodev_sandbox.backends import Backend
from autodev_sandbox.backends.container import ContainerBackend
from autodev_sandbox.backends.namespace import NamespaceBackend
from autodev_sandbox.backends.process import ProcessBackend
from autodev_sandbox.execution import BackendUnavailable
from tests.conftest import require

DEADLINE_S = 10.0


class NamespaceWithoutCgroups(NamespaceBackend):
    """As on a machine where no group can be made: resource limits take over."""

    def claim_groups(self) -> None:
        return None


BACKENDS: dict[str, Callable[[Path], Backend]] = {
    "container": ContainerBackend,
    "namespace": NamespaceBackend,
    "namespace-without-cgroups": NamespaceWithoutCgroups,
    "process": lambda _: ProcessBackend(),
}
STRONG = [name for name in BACKENDS if name != "process"]


async def ready(name: str) -> Backend:
    """The backend, made ready; without it the test is skipped or fails, as `require` has it."""
    backend = BACKENDS[name](rootfs.default_cache())
    try:
        await backend.probe()
    except BackendUnavailable as error:
        require(False, f"the {name} backend is not available: {error}")
    return backend


# A backend's pool lives in the event loop that made it: they and every test here share one.
@pytest_asyncio.fixture(scope="session", loop_scope="session", params=BACKENDS)
async def backend(request: pytest.FixtureRequest) -> AsyncIterator[Backend]:
    """Every backend in turn."""
    made = await ready(request.param)
    yield made
    await made.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session", params=STRONG)
async def strong(request: pytest.FixtureRequest) -> AsyncIterator[Backend]:
    """Every backend that keeps code apart from the machine."""
    made = await ready(request.param)
    yield made
    await made.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run this folder's tests in the session's event loop, those that run in one."""
    for item in items:
        is_ours = Path(__file__).parent in item.path.parents
        if is_ours and isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.function):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


async def eventually(holds: Callable[[], bool], what: str) -> None:
    """Wait until it holds; fail at the deadline."""
    deadline_s = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline_s, f"still not so after {DEADLINE_S} s: {what}"
        await asyncio.sleep(0.01)
