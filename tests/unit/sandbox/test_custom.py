"""A sandbox of the user's own, whose code gives back what cannot be told."""

import math
import subprocess
from collections.abc import Callable

import pytest

from autodev_runtime.errors import FailedPrecondition
from autodev_sandbox.backends.custom import CustomBackend
from autodev_sandbox.execution import BackendUnavailable, Calls, Execution, IsolationLevel, Limits, Status
from autodev_sandbox.levels import Levels
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


class Failing:
    """Answers the trial run, and breaks the contract, or raises, for code that says so."""

    async def execute_raw_python(self, execution: RawExecution) -> RawResult:
        if execution.code == "bad":
            return "no result"  # type: ignore[return-value]
        if execution.code == "raise":
            raise RuntimeError("it broke")
        word = execution.inputs.get("word")
        return RawResult(RawStatus.OK, value=1 if word is None else [word, 1])


@pytest.mark.parametrize("code", ["bad", "raise"])
async def test_a_bad_answer_fails_its_own_execution_and_too_many_in_a_row_the_sandbox(code: str) -> None:
    backend = CustomBackend("acme.box", IsolationLevel.NAMESPACE, Failing(), most_failures=3)
    await backend.probe()
    for each in (code, code, "", code, code):
        outcome = await run_on(backend, Execution(code=each, entry_point="f"))
        assert outcome.status is (Status.KILLED if each else Status.OK)
        assert all(facility.available for facility in backend.facilities())
    await run_on(backend, Execution(code=code, entry_point="f"))
    with pytest.raises(BackendUnavailable):
        await backend.take(Limits())
    await backend.probe()
    assert (await run_on(backend, Execution(code=code, entry_point="f"))).status is Status.KILLED
    assert (await run_on(backend, Execution(code="", entry_point="f"))).status is Status.OK
    await backend.close()


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


class Quoting:
    """Answers the trial run, and else raises an error that quotes the code, as `subprocess.run` does."""

    async def execute_raw_python(self, execution: RawExecution) -> RawResult:
        if execution.entry_point == "probe":
            return RawResult(RawStatus.OK, value=["ready", 1])
        raise subprocess.CalledProcessError(1, ["box", "-c", execution.code])


async def test_code_that_a_sandbox_failed_on_is_told_to_nobody(caplog: pytest.LogCaptureFixture) -> None:
    backend = CustomBackend("acme.box", IsolationLevel.NAMESPACE, Quoting(), most_failures=3)
    levels = Levels([backend], IsolationLevel.NAMESPACE)
    await levels.probe()
    for _ in range(3):
        assert (await run_on(backend, Execution(code="TOKEN = 'mine'"))).status is Status.KILLED
    with pytest.raises(FailedPrecondition) as refused:
        await levels.take(IsolationLevel.NAMESPACE, Limits())
    told = refused.value.metadata["NAMESPACE"]
    assert told == "the extension 'acme.box': 3 failures in a row, the last one: CalledProcessError"
    assert caplog.text.count("the extension 'acme.box' failed an execution") == 3
    assert "TOKEN" not in caplog.text
    await backend.close()
