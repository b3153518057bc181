"""Each failing program alone: how many are repaired, and how many of the repairs are wrong all the same.

The proposer sees two thirds of the task's tests; a program is repaired if what was proposed passes all of them, and
overfit if something was proposed that does not. No case bank, no LLM.
"""

import random
import statistics
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from autodev_learning.proposers import Budget
from autodev_learning.trial import Execute
from benchmarks.figures import Bar, Row, Side, judged, missing
from benchmarks.learning.effort import Effort
from benchmarks.learning.processor import processor_seconds
from benchmarks.proposer_search import Result, problem_of, read_tasks, solve
from tests.unit.learning.sandboxed import namespace_execute

BARS: Final[Mapping[str, Bar]] = {
    "repair": Bar("failing programs repaired, each alone", Side.AT_LEAST, 60, "%"),
    "repair-overfit": Bar("of what was proposed, overfit", Side.AT_MOST, 5, "%"),
    "repair-seconds": Bar("processor time for a failing program, mean", Side.AT_MOST, 5, "s"),
}
BUDGET: Final = Budget(seconds=120.0, programs=7000)
"""Bounded by number, so that a busy machine changes no result."""
QUICK_SAMPLE: Final = 3


@dataclass(frozen=True)
class Attempted:
    """One failing program: what came of it, and the processor time of everything that took."""

    result: Result
    seconds: float

    @property
    def is_rewritten(self) -> bool:
        """Whether a function was written anew rather than edited."""
        return self.result.solved and "` for all" in self.result.detail


async def measure(names: Collection[str], effort: Effort) -> Mapping[str, Row]:
    """Repair the programs; the three rows come from the same run."""
    if effort.tasks is None or effort.attempts is None:
        return {name: missing(BARS[name], "wants --tasks and --attempts") for name in names}
    done = await attempt(effort.tasks, effort.attempts, effort, await namespace_execute())
    solved, proposed, overfit, rewritten, seconds = counted(done)
    rows = {
        "repair": judged(
            BARS["repair"],
            f"{solved} of {len(done)}, {rewritten} of them by a function written anew",
            "",
            100 * solved / len(done),
            by_task(done),
        ),
        "repair-overfit": judged(
            BARS["repair-overfit"], f"{overfit} of {proposed}", "", 100 * overfit / max(1, proposed)
        ),
        "repair-seconds": judged(BARS["repair-seconds"], f"{len(done)} programs", "", seconds),
    }
    return {name: rows[name] for name in names}


def counted(done: Sequence[Attempted]) -> tuple[int, int, int, int, float]:
    """How many were solved, proposed, overfit and rewritten, and the mean processor time."""
    solved, proposed = sum(each.result.solved for each in done), sum(each.result.proposed for each in done)
    rewritten = sum(each.is_rewritten for each in done)
    return solved, proposed, proposed - solved, rewritten, statistics.fmean(each.seconds for each in done)


async def attempt(tasks: Path, attempts: Path, effort: Effort, execute: Execute) -> list[Attempted]:
    """Try every failing program, or of each task a sample, drawn by the seed."""
    sample = effort.sample or (QUICK_SAMPLE if effort.quick else None)
    done = []
    for task in read_tasks(tasks, attempts):
        failures = list(enumerate(task.failures))
        if sample:
            failures = random.Random(effort.seed).sample(failures, min(sample, len(failures)))
        for index, code in failures:
            before = processor_seconds()
            problem = problem_of(task, (code,), (), effort.seed)
            result = await solve(task, f"program {index}", problem, ["search"], BUDGET, execute)
            done.append(Attempted(result, processor_seconds() - before))
            print(f"  {task.id} {index}: {in_words(done[-1])}", flush=True)
    return done


def in_words(attempted: Attempted) -> str:
    """What came of a program, for those who wait."""
    result = attempted.result
    what = "repaired" if result.solved else "overfit" if result.proposed else "none"
    return f"{what}, {result.tried} tried, {attempted.seconds:.1f} s; {result.detail}"


def by_task(done: Sequence[Attempted]) -> list[str]:
    """A table, as docs/results.md has it."""
    notes = [
        "| task | programs | proposed | repaired | of these written anew | overfit | processor s, mean |",
        "|---|---|---|---|---|---|---|",
    ]
    for task in [*dict.fromkeys(each.result.task for each in done), "all"]:
        rows = [each for each in done if task in (each.result.task, "all")]
        solved, proposed, overfit, rewritten, seconds = counted(rows)
        notes.append(f"| {task} | {len(rows)} | {proposed} | {solved} | {rewritten} | {overfit} | {seconds:.1f} |")
    return notes
