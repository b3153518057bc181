"""A sandbox of the user's own, whose code gives back what cannot be told."""

import asyncio
import itertools
import math
import subprocess
from collections.abc import Callable
from dataclasses import replace

import pytest

from autodev_runtime.errors import FailedPrecondition
from autodev_sandbox.backends.custom import CustomBackend
from autodev_sandbox.execution import BackendUnavailable, CallOutcome, Calls, Execution, IsolationLevel, Limits, Status
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


class Saying:
    """Answers the trial run, and gives the results in turn for anything else."""

    def __init__(self, *results: RawResult) -> None:
        self._results = itertools.cycle(results)
        self.asked = 0

    async def execute_raw_python(self, execution: RawExecution) -> RawResult:
        if execution.entry_point == "probe":
            return RawResult(RawStatus.OK, value=["ready", 1])
        self.asked += 1
        return next(self._results)


def value_of(size: int) -> RawResult:
    """A value whose JSON text has that many bytes."""
    return RawResult(RawStatus.OK, value="x" * (size - 2))


async def called(sandbox: Saying, calls: Calls) -> list[CallOutcome]:
    backend = CustomBackend("acme.box", IsolationLevel.NAMESPACE, sandbox)
    await backend.probe()
    taken = await backend.take(calls.limits)
    outcomes = [each async for each in run_calls(taken, calls)]
    backend.retire(taken)
    await backend.close()
    return outcomes


SMALL = Limits(output_bytes=1000, file_bytes=0)


@pytest.mark.parametrize("size", [999, 1000, 1001, 2500, 100_000])
@pytest.mark.parametrize("printed", [0, 1000])
async def test_a_value_is_as_long_as_output_may_be(size: int, printed: int) -> None:
    given = replace(value_of(size), stdout=b"y" * printed)
    backend = CustomBackend("acme.box", IsolationLevel.NAMESPACE, Saying(given))
    await backend.probe()
    outcome = await run_on(backend, Execution("", "f", limits=SMALL))
    (call,) = await called(Saying(given), Calls("", "f", [{}], limits=SMALL))
    for each in (outcome, call.outcome):
        assert each.status is (Status.OK if size <= 1000 else Status.OUTPUT_LIMIT)
        assert len(each.stdout) == printed
    await backend.close()


@pytest.mark.parametrize("character", ["x", "\0", "\U0001f600"])
async def test_an_error_is_cut_to_the_room_that_it_has(character: str) -> None:
    error = ("ValueError", "begins " + 100_000 * character, 100_000 * character + " ends")
    backend = CustomBackend("acme.box", IsolationLevel.NAMESPACE, Saying(RawResult(RawStatus.ERROR, error=error)))
    await backend.probe()
    outcome = await run_on(backend, Execution("", "f", limits=Limits(output_bytes=1, file_bytes=0)))
    assert outcome.status is Status.ERROR
    assert outcome.error is not None
    assert outcome.error.type == "ValueError"
    assert outcome.error.message.startswith("begins " + 1000 * character)
    assert outcome.error.traceback.endswith(1000 * character + " ends")
    await backend.close()


ONE, TWO = RawResult(RawStatus.OK, value=1, duration_s=0.25), RawResult(RawStatus.OK, value=2, duration_s=0.5)
RAISED = RawResult(RawStatus.ERROR, error=("ValueError", "no", ""))
LATE = RawResult(RawStatus.TIMEOUT, duration_s=1.0)


@pytest.mark.parametrize(
    ("given", "status", "call_s", "varied"),
    [
        ([ONE], Status.OK, (0.25, 0.25, 0.25), False),
        ([ONE, TWO], Status.OK, (0.25, 0.5, 0.25), True),
        ([ONE, TWO, TWO], Status.OK, (0.25, 0.5, 0.5), True),
        ([RAISED], Status.ERROR, (0.0, 0.0, 0.0), False),
        ([RAISED, replace(RAISED, error=("ValueError", "never", ""))], Status.ERROR, (0.0, 0.0, 0.0), True),
        ([replace(ONE, stdout=b"first"), ONE], Status.OK, (0.25, 0.25, 0.25), False),
        ([LATE], Status.TIMEOUT, (1.0,), False),
        ([ONE, LATE], Status.TIMEOUT, (0.25, 1.0), False),
    ],
)
async def test_an_input_is_called_again_while_it_is_answered(
    given: list[RawResult], status: Status, call_s: tuple[float, ...], varied: bool
) -> None:
    sandbox = Saying(*given)
    (call,) = await called(sandbox, Calls("", "f", [{}], repeat=3))
    assert (call.outcome.status, call.call_s, call.varied) == (status, call_s, varied)
    assert sandbox.asked == len(call_s)


async def test_a_batch_runs_no_further_ahead_of_its_reader_than_a_bound() -> None:
    sandbox = Saying(replace(ONE, stdout=b"y" * 1_000_000))
    backend = CustomBackend("acme.box", IsolationLevel.NAMESPACE, sandbox)
    await backend.probe()
    taken = await backend.take(Limits())
    calls = Calls("", "f", [{}] * 20)
    outcomes = run_calls(taken, calls)
    for number in range(1, 21):
        assert (await anext(outcomes)).index == number - 1
        for _ in range(50):
            await asyncio.sleep(0)
        assert sandbox.asked <= number + 1
    await outcomes.aclose()
    backend.retire(taken)
    await backend.close()
