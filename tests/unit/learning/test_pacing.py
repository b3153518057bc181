"""How long programs may take in a search: as long as what they began with, and some of them longer."""

from autodev_learning.examples import Example
from autodev_learning.proposers import Budget, FailedProgram, Problem
from autodev_learning.proposers.bench import Bench
from autodev_learning.proposers.candidates import Candidate
from autodev_learning.proposers.pacing import ENDLESS_LOOK, LOOKS
from autodev_learning.screening import LEVELS, UNENDED
from autodev_learning.trial import SandboxTester

AT_ONCE, LONG, LONGER = 5, 6_000, 60_000
RIGHT = "def f(n):\n    for i in range(n):\n        pass\n    return i\n"
ENDLESS = "def f(n):\n    while n > 5:\n        pass\n    return n - 1\n"
WRONG_AT_ONCE = "def f(n):\n    for i in range(n):\n        pass\n    return i if n > 5 else n\n"


async def bench_of(tester: SandboxTester, start: str, *sizes: int) -> Bench:
    examples = tuple(Example(f"f({size})", str(size - 1)) for size in sizes)
    problem = Problem("count", ("f",), (FailedProgram(start),), examples)
    bench = Bench(tester.screener(), problem, Budget())
    await bench.calibrate([(start,)])
    return bench


async def test_what_fails_only_by_its_turns_is_given_more_of_them(tester: SandboxTester) -> None:
    bench = await bench_of(tester, "def f(n):\n    return n - 1 if n == 5 else 1 / 0\n", AT_ONCE, LONG)
    assert bench.screener.turns == LEVELS[0]
    right, endless = await bench.run([Candidate((RIGHT,)), Candidate((ENDLESS,))], [0, 1])
    assert right.passes([0, 1])
    assert endless.outcomes[1] == UNENDED
    assert bench.screener.turns == LEVELS[0]
    # What passes so is measured so when it is looked at again.
    assert (await bench.outcomes([right], [0, 1]))[0].passes([0, 1])
    assert [each[0].value for each in await bench.probe([right], [f"f({LONG + 1})"])] == [str(LONG)]


async def test_so_many_are_given_more_turns_and_fewer_that_end_no_less_than_before(tester: SandboxTester) -> None:
    for start, price in [("def f(n):\n    return n - 1 if n == 5 else 1 / 0\n", 1), (ENDLESS, ENDLESS_LOOK)]:
        bench = await bench_of(tester, start, AT_ONCE, LONG)
        many = [Candidate((f"# {number}\n{RIGHT}",)) for number in range(LOOKS + 1)]
        passing = sum(each.passes([0, 1]) for each in await bench.run(many, [0, 1]))
        assert passing == LOOKS // price


async def test_what_takes_long_is_asked_of_those_that_pass_the_others(tester: SandboxTester) -> None:
    bench = await bench_of(tester, RIGHT, AT_ONCE, LONGER)
    assert bench.screener.turns == LEVELS[-1]
    right, wrong = await bench.run([Candidate((f"{RIGHT}#\n",)), Candidate((WRONG_AT_ONCE,))], [0, 1])
    assert right.passes([0, 1])
    assert wrong.outcomes[1] == UNENDED
    assert wrong.near[1] == 0.0
