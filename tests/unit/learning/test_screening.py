"""Programs screened in the sandbox: thousands, roughly, none keeping another from being heard."""

import resource
from collections.abc import Mapping

from autodev_learning.screen_harness import screen
from autodev_learning.screening import LEVELS, Pieces, Screener
from autodev_learning.trial import Execution
from tests.unit.learning.sandboxed import namespace_execute

GOOD = ("def f(x):\n    return g(x)\n", "def g(x):\n    return x + 1\n")


async def given(*programs: Pieces, calls: tuple[str, ...] = ("f(1)",)) -> list[tuple[str | None, ...]]:
    rows = await Screener(await namespace_execute()).run(programs, "", calls)
    return [tuple(outcome.value if outcome.value is not None else outcome.error for outcome in row) for row in rows]


async def test_programs_share_pieces_and_keep_their_order() -> None:
    other = (GOOD[0], "def g(x):\n    return -x\n")
    assert await given(GOOD, other, GOOD, calls=("f(1)", "f(2)")) == [("2", "3"), ("-1", "-2"), ("2", "3")]


async def test_what_does_not_end_or_ends_its_process_costs_no_other_its_outcomes() -> None:
    swallowing = "try:\n            x += 1\n        except BaseException:\n            pass\n"
    endless = (f"def f(x):\n    while True:\n        {swallowing}",)
    leaving = ("import os\ndef f(x):\n    os._exit(0)\n",)
    sleeping = ("import itertools\ndef f(x):\n    return sum(itertools.count())\n",)
    deep = ("def f(x):\n    return f(x)\n",)
    broken = ("def f(x:\n",)
    rows = await given(GOOD, endless, leaving, sleeping, deep, broken, GOOD)
    assert [row[0] for row in rows[:4]] == ["2", "timeout", "Exited: the program ended its process", "timeout"]
    assert rows[4][0] in ("timeout", "RecursionError: maximum recursion depth exceeded")
    assert str(rows[5][0]).startswith("SyntaxError")
    assert rows[6] == ("2",)


async def test_a_program_that_the_clock_ended_twice_is_asked_no_more() -> None:
    squares = "sum(pow(3, 40_000) % 7 for _ in iter(int, 1)) if x < 0 else x"
    by_clock = (f"def f(x):\n    return {squares}\n",)
    by_turns = ("def f(x):\n    while x < 0:\n        pass\n    return x\n",)
    rows = await given(by_clock, by_turns, GOOD, calls=("f(-1)", "f(2)", "f(-3)", "f(4)"))
    assert rows[0] == ("timeout", "2", "timeout", "timeout")
    assert rows[1] == ("timeout", "2", "timeout", "4")
    assert rows[2] == ("0", "3", "-2", "5")


def test_what_no_signal_of_python_reaches_is_ended_by_the_kernel() -> None:
    deaf = "import itertools\ndef f(x):\n    return sum(itertools.repeat(0))\n"
    before_s = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    rows = screen([deaf, GOOD[1]], [[0], [1], [0]], "", ["f(1)", "g(1)"], turns=LEVELS[0], seconds=0.05, traced=False)
    assert rows[0] == rows[2] == ["etimeout", "etimeout"]
    assert rows[1][1] == "v2"
    # Of processor time, so that a busy machine changes nothing: waiting for what does not end took two seconds each.
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before_s < 1.5


async def test_a_trace_names_the_lines_that_each_call_ran() -> None:
    program = ("def h(x):\n    return x\n", "def f(x):\n    if x:\n        return h(1)\n    return 0\n")
    (traced,) = await Screener(await namespace_execute()).trace([program], "", ["f(0)", "f(1)", "f()"])
    assert [set(lines) for lines in traced.lines] == [{(1, 2), (1, 4)}, {(1, 2), (1, 3), (0, 2)}, set()]
    assert traced.outcomes[2].error is not None


async def test_a_program_that_works_long_is_allowed_the_turns_it_takes() -> None:
    screener = Screener(await namespace_execute())
    long = ("def f(x):\n    for i in range(x):\n        pass\n    return i\n",)
    await screener.calibrate([GOOD], "", ["f(1)"])
    assert screener.turns == LEVELS[0]
    await screener.calibrate([long], "", ["f(10000)"])
    assert (await screener.run([long], "", ["f(10000)"]))[0][0].value == "9999"


async def test_a_result_of_another_shape_passes_nothing() -> None:
    async def tampered(code: str, entry_point: str, inputs: Mapping[str, object], timeout_s: float) -> Execution:
        return Execution(ok=True, result=[["v2", "v2"]])

    ((outcome,),) = await Screener(tampered).run([GOOD], "", ["f(1)"])
    assert outcome.error == "Sandbox: the result has another shape"
