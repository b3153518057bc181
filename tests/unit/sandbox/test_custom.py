"""A sandbox of the user's own, whose code gives back what cannot be told."""

import math
from collections.abc import Callable

import pytest

from autodev_sandbox.backends.custom import CustomBackend
from autodev_sandbox.execution import Calls, Execution, IsolationLevel, Status
from autodev_sandbox.running import run_calls, run_on
from autodev_sdk.extensions import RawExecution, RawResult, RawStatus


def deep() -> list[object]:
    value: list[object] = []
    for _ in range(100_000):
        value = [value]
    return value


class Giving:
    """Answers the trial run, and gives the value for anything else."""

    def __init__(self, value: object) -> None:
        self._value = value

    async def execute_raw_python(self, execution: RawExecution) -> RawResult:
        word = execution.inputs.get("word")
        return RawResult(RawStatus.OK, value=self._value if word is None else [word, 1])


@pytest.mark.parametrize("make", [lambda: math.nan, set, deep], ids=["no number", "no JSON", "deep"])
async def test_a_value_that_is_not_json_shaped_is_the_codes_fault(make: Callable[[], object]) -> None:
    backend = CustomBackend("acme.box", IsolationLevel.NAMESPACE, Giving(make()))
    await backend.probe()
    outcome = await run_on(backend, Execution(code="", entry_point="f"))
    assert outcome.status is Status.ERROR
    assert outcome.error is not None
    assert outcome.error.message.startswith("the result is not JSON-shaped: ")
    calls = Calls(code="", entry_point="f", inputs=[{}, {}], repeat=2)
    sandbox = await backend.take(calls.limits)
    called = [call async for call in run_calls(sandbox, calls)]
    assert [call.outcome.status for call in called] == [Status.ERROR, Status.ERROR]
    assert all(each.available for each in backend.facilities())
    backend.retire(sandbox)
    await backend.close()
