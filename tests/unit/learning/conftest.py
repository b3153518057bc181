"""What the tests of learning's rules share."""

import asyncio
from collections.abc import Awaitable, Iterator, Mapping
from threading import Thread

import pytest

from autodev_learning.trial import Execute, Execution, SandboxTester
from autodev_sandbox.execution import BackendUnavailable
from tests.conftest import require
from tests.unit.learning.sandboxed import executing, namespace_backend


@pytest.fixture(scope="session")
def background() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop that outlives the loops of single tests."""
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture(scope="session")
def namespaces(background: asyncio.AbstractEventLoop) -> Iterator[Execute]:
    """Executes in the real sandbox's namespace backend, from any loop, each in a fresh sandbox of one backend."""
    try:
        backend = asyncio.run_coroutine_threadsafe(namespace_backend(), background).result()
    except BackendUnavailable as error:
        require(None, f"no namespace sandbox: {error}")
        raise
    execute = executing(backend)

    async def execute_there(code: str, entry_point: str, inputs: Mapping[str, object], timeout_s: float) -> Execution:
        answer = _awaited(execute(code, entry_point, inputs, timeout_s))
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(answer, background))

    yield execute_there
    asyncio.run_coroutine_threadsafe(backend.close(), background).result()


@pytest.fixture
def tester(namespaces: Execute) -> SandboxTester:
    """Tries programs in the real sandbox's namespace backend."""
    return SandboxTester(namespaces)


async def _awaited(answer: Awaitable[Execution]) -> Execution:
    return await answer
