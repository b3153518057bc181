"""Twenty slow functions: how many are made twice as fast, and whether any is made wrong.

Each goes the way of a skill's mutation: the proposer knows typical calls, its rewrite runs in turns with the original
in the sandbox, and the fitness service's own rule says what the times prove. "Twice as fast" is proven: the whole
interval of the time's ratio is at most a half.

Whether it is wrong is asked on calls that the proposer never saw: what it gives, with types, what it does to its
arguments, what it leaves of an iterator, what it raises.
"""

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from autodev_fitness.comparison import Comparison, Runs, compare
from autodev_learning.evolution.comparison import KnownInput, Purpose, compare_behaviour
from autodev_learning.evolution.rewriting import Program, RewriteLimits, Rewriter
from autodev_learning.evolution.timing import RunBounds, Timer
from autodev_learning.memento.proposing import ProposalLimits, Workshop
from autodev_learning.trial import Execute, SandboxTester
from autodev_runtime.identity import acting_as, service_identity
from benchmarks.figures import Bar, Row, Side, judged
from benchmarks.learning.effort import Effort
from benchmarks.learning.slow_functions import slow_function
from benchmarks.learning.slow_functions.cases import CASES, Case
from tests.unit.learning.sandboxed import namespace_execute

BARS: Final[Mapping[str, Bar]] = {
    "speedups": Bar("slow functions made twice as fast, of 20", Side.AT_LEAST, 14, "functions"),
    "speedups-wrong": Bar("of those that were rewritten, wrong", Side.AT_MOST, 0, "functions"),
    "speedups-same": Bar("a function against itself, called faster", Side.AT_MOST, 5, "%"),
}
TWICE: Final = 0.5
QUICK: Final = 3
SAME_COMPARISONS: Final = 40
OBSERVE: Final = """
def observed(function, *arguments):
    try:
        given = function(*arguments)
    except Exception as error:
        given = type(error)
    left = [list(each) if hasattr(each, "__next__") else each for each in arguments]
    return repr((given, type(given), left))
"""
SAME: Final = "def f(items):\n    return sorted(set(items))\n"


@dataclass(frozen=True)
class Speed:
    """What became of one function: `comparison` is None where nothing was proposed."""

    case: Case
    comparison: Comparison | None
    ms: tuple[float, float]
    wrong: tuple[str, ...]
    checks: int
    steps: tuple[str, ...]
    seconds: float

    @property
    def is_twice_as_fast(self) -> bool:
        return self.comparison is not None and self.comparison.wins and self.comparison.time.high <= TWICE

    def __str__(self) -> str:
        name = f"{self.case.name:14}"
        if self.comparison is None:
            return f"{name} left as it is ({self.seconds:.1f} s)"
        time_ = self.comparison.time
        verdict = f"{len(self.wrong)} of {self.checks} WRONG" if self.wrong else f"{self.checks} checks the same"
        return (
            f"{name} {1 / time_.median:8.1f} x ({1 / time_.high:.1f} to {1 / time_.low:.1f}), {self.ms[0]:.1f} ms to "
            f"{self.ms[1]:.2f} ms; {verdict}; {'; '.join(self.steps)} ({self.seconds:.1f} s)"
        )


async def measure(names: Collection[str], effort: Effort) -> Mapping[str, Row]:
    """Rewrite, compare and check every function; the rows come from the same run."""
    execute = await namespace_execute()
    rows: dict[str, Row] = {}
    if {"speedups", "speedups-wrong"} & set(names):
        speeds = []
        for case in CASES[: QUICK if effort.quick else None]:
            speeds.append(await speed_of(case, execute))
            print(f"  {speeds[-1]}", flush=True)
        twice = sum(speed.is_twice_as_fast for speed in speeds)
        rewritten = [speed for speed in speeds if speed.comparison is not None]
        wrong = [f"{speed.case.name}: {call}" for speed in speeds for call in speed.wrong]
        checked = f"of {len(rewritten)}, {sum(speed.checks for speed in rewritten)} checks"
        count = sum(bool(speed.wrong) for speed in speeds)
        rows["speedups"] = judged(BARS["speedups"], f"of {len(speeds)}", "", float(twice), list(map(str, speeds)))
        rows["speedups-wrong"] = judged(BARS["speedups-wrong"], checked, "", float(count), wrong)
    if "speedups-same" in names:
        comparisons = [await same(execute) for _ in range(QUICK if effort.quick else SAME_COMPARISONS)]
        wins = sum(each.wins for each in comparisons)
        share = 100 * wins / len(comparisons)
        rows["speedups-same"] = judged(BARS["speedups-same"], f"{wins} of {len(comparisons)}", "", share)
    return {name: rows[name] for name in names}


async def speed_of(case: Case, execute: Execute) -> Speed:
    """Rewrite a function, run it in turns with the original, and ask both what the proposer never saw."""
    code = slow_function(case.name)
    inputs = tuple(KnownInput(call) for call in case.typical) + tuple(KnownInput(*known) for known in case.known)
    timer = Timer(execute)
    rewriter = Rewriter(timer, Workshop(execute, ProposalLimits()), RewriteLimits(seconds_per_call=5.0))
    program = Program(code, "", case.name, (case.entry,), inputs)
    started = time.monotonic()
    with acting_as(service_identity("learning", "benchmark")):
        rewrite = await rewriter.rewrite(program, None, ())
    seconds = time.monotonic() - started
    if not rewrite.code:
        return Speed(case, None, (0.0, 0.0), (), 0, (), seconds)
    calls = [known.call for known in inputs]
    parent, faster = await timer.in_turns((code, rewrite.code), "", calls, RunBounds(seconds_per_call=5.0))
    behaviour = compare_behaviour(inputs, parent, faster, Purpose.FASTER)
    correct = Runs(faster.seconds, behaviour.rewrite_correct, behaviour.compared)
    comparison = compare(correct, Runs(parent.seconds, behaviour.parent_correct, behaviour.compared))
    wrong = await differences(case, code, rewrite.code, execute)
    ms = 1000 * sorted(parent.seconds)[0], 1000 * sorted(faster.seconds)[0]
    return Speed(case, comparison, ms, wrong, len(case.checks), rewrite.provenance.steps, seconds)


async def differences(case: Case, code: str, rewrite: str, execute: Execute) -> tuple[str, ...]:
    """The checks on which the rewrite does otherwise than the original."""
    tester = SandboxTester(execute, seconds_per_program=20.0)
    calls = [f"observed({case.entry}, {arguments})" for arguments in case.checks]
    original, rewritten = await tester.run([code, rewrite], OBSERVE, calls)
    return tuple(
        f"{call}: {was.value or was.error} became {now.value or now.error}"
        for call, was, now in zip(calls, original, rewritten, strict=True)
        if was != now or was.value is None
    )


async def same(execute: Execute) -> Comparison:
    """A function in turns with itself, in other words."""
    calls = [f"f([n * 7919 % 9973 for n in range({count})])" for count in (10, 3000)]
    sides = await Timer(execute).in_turns((SAME, SAME + "\n# the same\n"), "", calls, RunBounds())
    ours, theirs = (Runs(side.seconds, len(calls), len(calls)) for side in sides)
    return compare(ours, theirs)
