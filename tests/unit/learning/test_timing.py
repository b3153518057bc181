"""Timing programs, in the real sandbox."""

import itertools

import pytest

from autodev_learning.evolution.timing import CALLS_PER_EXECUTION, HARNESS, RunBounds, TimedOutcome, Timer
from autodev_learning.trial import Execution, SandboxTester

SECONDS = 2.0


@pytest.fixture
def timer(tester: SandboxTester) -> Timer:
    return Timer(tester.execute)


async def time_all(timer: Timer, code: str, *calls: str, seconds: float = SECONDS) -> tuple[TimedOutcome, ...]:
    return await timer.time(code, "", calls, [seconds] * len(calls))


async def test_it_gives_literals_errors_and_times(timer: Timer) -> None:
    code = "def f(n):\n    return {'sum': sum(range(n))}\n"
    small, large, failed = await time_all(timer, code, "f(10)", "f(3000000)", "f('x')")
    assert (small.value, small.error) == ("{'sum': 45}", None)
    assert large.value == "{'sum': 4499998500000}"
    assert (failed.value, failed.error) == (None, "TypeError: 'str' object cannot be interpreted as an integer")
    assert 0 < small.seconds < large.seconds < SECONDS


async def test_work_moved_to_the_programs_start_is_timed_too(timer: Timer) -> None:
    (outcome,) = await time_all(timer, "TABLE = [sum(range(1000)) for _ in range(5000)]\n", "TABLE[0]")
    assert outcome.seconds > 0.01


async def test_the_preamble_is_there_and_is_not_timed(timer: Timer) -> None:
    slow_preamble = "TABLE = [sum(range(1000)) for _ in range(5000)]\nBASE = 40\n"
    (outcome,) = await timer.time("def f():\n    return BASE + 2\n", slow_preamble, ["f()"], [SECONDS])
    assert outcome.value == "42"
    assert outcome.seconds < 0.01


async def test_calls_share_nothing(timer: Timer) -> None:
    code = "seen = []\ndef f(n):\n    seen.append(n)\n    return seen\n"
    outcomes = await time_all(timer, code, "f(1)", "f(2)")
    assert [outcome.value for outcome in outcomes] == ["[1]", "[2]"]


async def test_what_does_not_end_stops_neither_others_nor_for_ever(timer: Timer) -> None:
    code = (
        "def loop():\n    while True:\n        try:\n            while True: pass\n        except BaseException: pass\n"
    )
    outcomes = await time_all(timer, code, "loop()", "1", "loop()", "2", seconds=0.3)
    assert [outcome.timed_out for outcome in outcomes] == [True, False, True, True]
    assert [outcome.seconds for outcome in outcomes if outcome.timed_out] == [0.3] * 3


@pytest.mark.parametrize("end", ["__import__('os')._exit(0)", "__import__('os').abort()"])
async def test_a_crash_is_that_calls_alone(timer: Timer, end: str) -> None:
    first, crashed, last = await time_all(timer, "x = 1\n", "x", end, "x")
    assert (first.value, last.value) == ("1", "1")
    assert crashed.error == "Exited: the program ended its process"


async def test_a_very_long_literal_is_equal_to_itself_only(timer: Timer) -> None:
    same, again, other = await time_all(timer, "x = 0\n", "'a' * 50000", "'a' * 50000", "'a' * 49999 + 'b'")
    assert same.value is not None
    assert same.value.startswith("<sha256 ")
    assert same.value == again.value != other.value


async def test_no_python_is_an_error_of_every_call(timer: Timer) -> None:
    outcomes = await time_all(timer, "def f(:\n", "1", "2")
    assert all((outcome.error or "").startswith("SyntaxError") for outcome in outcomes)


async def test_many_calls_take_several_executions(timer: Timer) -> None:
    calls = [str(number) for number in range(CALLS_PER_EXECUTION + 3)]
    outcomes = await time_all(timer, "x = 0\n", *calls)
    assert [outcome.value for outcome in outcomes] == calls


async def test_turns_alternate_and_stop_when_the_time_is_over() -> None:
    asked: list[object] = []
    now = [0.0]

    async def execute(code: str, entry_point: str, inputs: object, timeout_s: float) -> Execution:
        assert isinstance(inputs, dict)
        asked.append(inputs["program"])
        now[0] += 1.0
        return Execution(True, [{"value": "1", "seconds": 0.5}] * len(inputs["calls"]))

    timer = Timer(execute, clock=lambda: now[0])
    bounds = RunBounds(rounds=10, least_rounds=3, budget_s=7.0)
    first, second = await timer.in_turns(("a", "b"), "", ["f()", "g()"], bounds)
    assert asked == ["a", "b", "b", "a"] * 2
    assert first.seconds == second.seconds == (1.0,) * 4


@pytest.mark.parametrize(
    ("slow_s", "fast_s", "rounds"), [([5.0], 0.1, 5), ([5.0, 0.2], 0.1, 8), ([0.3], 0.1, 8), ([0.0], 0.0, 8)]
)
async def test_turns_stop_early_only_where_every_round_is_plain(
    slow_s: list[float], fast_s: float, rounds: int
) -> None:
    taken = itertools.cycle(slow_s)

    async def execute(code: str, entry_point: str, inputs: object, timeout_s: float) -> Execution:
        assert isinstance(inputs, dict)
        return Execution(True, [{"value": "1", "seconds": next(taken) if inputs["program"] == "slow" else fast_s}])

    parent, rewrite = await Timer(execute).in_turns(("slow", "fast"), "", ["f()"], RunBounds(rounds=8, least_rounds=3))
    assert len(parent.seconds) == len(rewrite.seconds) == rounds


@pytest.mark.parametrize(
    "result", [None, "x", [], [1], [{"value": "1"}], [{"value": "1", "error": "", "seconds": -1}], [{}] * 3]
)
async def test_an_answer_of_another_shape_is_no_value(result: object) -> None:
    async def execute(code: str, entry_point: str, inputs: object, timeout_s: float) -> Execution:
        return Execution(True, result)

    outcomes = await Timer(execute).time("x", "", ["f()", "g()"], [1.0, 1.0])
    assert len(outcomes) == 2
    assert all(outcome.value is None for outcome in outcomes)


async def test_an_execution_that_ended_badly_says_how() -> None:
    async def execute(code: str, entry_point: str, inputs: object, timeout_s: float) -> Execution:
        return Execution(False, detail="OOM")

    (outcome,) = await Timer(execute).time("x", "", ["f()"], [1.0])
    assert outcome.error == "Sandbox: OOM"


def test_the_harness_is_told_no_expectation_and_imports_nothing_of_ours() -> None:
    assert "autodev_learning" not in HARNESS
    compile(HARNESS, "<harness>", "exec")
