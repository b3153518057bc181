import asyncio
import threading

from autodev_sandbox.backends.custom import CustomBackend, CustomSandbox
from autodev_sandbox.execution import IsolationLevel, Limits, Status
from autodev_sandbox.running import outcome_of
from autodev_sandbox.sizes import LARGE_BYTES, by_size
from autodev_sandbox.wire import Ending, Report
from autodev_sdk.extensions import RawExecution, RawResult, RawStatus

PATIENCE_S = 30.0


class Quiet:
    """A sandbox that nobody asks anything."""

    async def execute_raw_python(self, execution: RawExecution) -> RawResult:
        return RawResult(RawStatus.OK)


async def test_others_are_served_while_something_large_is_made() -> None:
    served = threading.Event()
    asyncio.get_running_loop().call_soon(served.set)
    assert await by_size(LARGE_BYTES + 1, served.wait, PATIENCE_S)


async def test_something_small_is_made_at_once() -> None:
    assert await by_size(LARGE_BYTES, threading.get_ident) == threading.get_ident()


async def test_others_are_served_while_a_large_result_is_read() -> None:
    sandbox = CustomSandbox(CustomBackend("quiet", IsolationLevel.NAMESPACE, Quiet()), Quiet(), Limits())
    message = b'{"value": [%s0]}' % (b"0," * LARGE_BYTES)
    served: list[str] = []
    asyncio.get_running_loop().call_soon(served.append, "another")
    report = Report(Ending.EXITED, 0, 0, 0.5, 0, 0, b"", b"", message)
    outcome = await outcome_of(sandbox, report, Limits(), expects_value=True)
    assert served
    assert outcome.status is Status.OK
    assert outcome.value == [0] * (LARGE_BYTES + 1)
    assert outcome.value_bytes == len(message)
    await sandbox.end()
