"""What the tests of learning's rules share."""

import pytest_asyncio

from autodev_learning.trial import SandboxTester
from autodev_sandbox.execution import BackendUnavailable
from tests.conftest import require
from tests.unit.learning.sandboxed import namespace_execute


@pytest_asyncio.fixture
async def tester() -> SandboxTester:
    """Tries programs in the real sandbox's namespace backend."""
    try:
        execute = await namespace_execute()
    except BackendUnavailable as error:
        require(None, f"no namespace sandbox: {error}")
        raise
    return SandboxTester(execute)
