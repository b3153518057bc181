"""Each failing program alone: how many are repaired, and how many of the repairs are wrong all the same.

The proposer sees two thirds of the task's tests; a program is repaired if what was proposed passes all of them, and
overfit if something was proposed that does not. No case bank, no LLM.
"""

import statistics
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Final

from autodev_learning.proposers import Budget
from autodev_learning.trial import Execute
from benchmarks.figures import Bar, Row, Side, judged, missing
from benchmarks.learning.effort import Effort
from benchmarks.proposer_search import Result, problem_of, read_tasks, solve
from tests.unit.learning.sandboxed import namespace_execute

BARS: Final[Mapping[str, Bar]] = {
    "repair": Bar("failing programs repaired, each alone", Side.AT_LEAST, 60, "%"),
    "repair-overfit": Bar("of what was proposed, overfit", Side.AT_MOST, 5, "%"),
    "repair-seconds": Bar("time for a failing program, mean", Side.AT_MOST, 5, "s"),
}
SECONDS: Final = 5.0
QUICK_SAMPLE: Final = 3


async def measure(names: Collection[str], effort: Effort) -> Mapping[str, Row]:
    """Repair the programs; the three rows come from the same run."""
    if effort.tasks is None or effort.attempts is None:
        return {name: missing(BARS[name], "wants --tasks and --attempts") for name in names}
    results = await attempt(effort.tasks, effort.attempts, effort, await namespace_execute())
    repaired = 100 * sum(result.solved for result in results) / len(results)
    proposed = [result for result in results if result.proposed]
    overfit = 100 * sum(not result.solved for result in proposed) / max(1, len(proposed))
    seconds = statistics.fmean(result.seconds for result in results)
    counts = f"{sum(result.solved for result in results)} of {len(results)}"
    wrong = f"{sum(not result.solved for result in proposed)} of {len(proposed)}"
    rows = {
        "repair": judged(BARS["repair"], counts, "", repaired, by_task(results)),
        "repair-overfit": judged(BARS["repair-overfit"], wrong, "", overfit),
        "repair-seconds": judged(BARS["repair-seconds"], f"{len(results)} programs", "", seconds),
    }
    return {name: rows[name] for name in names}


async def attempt(tasks: Path, attempts: Path, effort: Effort, execute: Execute) -> list[Result]:
    """Try every failing program, or the sample of each task."""
    sample = effort.sample or (QUICK_SAMPLE if effort.quick else None)
    results = []
    for task in read_tasks(tasks, attempts):
        started = time.monotonic()
        for index, code in enumerate(task.failures[:sample]):
            problem = problem_of(task, (code,), (), effort.seed)
            results.append(await solve(task, f"program {index}", problem, ["search"], Budget(seconds=SECONDS), execute))
        print(f"  {task.id}: {time.monotonic() - started:.0f} s", flush=True)
    return results


def by_task(results: Sequence[Result]) -> list[str]:
    """A line a task."""
    notes = []
    for task in dict.fromkeys(result.task for result in results):
        rows = [result for result in results if result.task == task]
        solved, proposed = sum(row.solved for row in rows), sum(row.proposed for row in rows)
        notes.append(f"{task}: {len(rows)} programs, {proposed} proposed, {solved} repaired")
    return notes
