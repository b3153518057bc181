"""What inputs that nobody gave find, and whom they wrong.

A task is cut to its first three different calls. Programs that pass those and fail others of the task's tests are
overfit, and are held to five programs that are right; so are programs that are right, which none should doubt.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from autodev_learning.examples import Example, call_key
from autodev_learning.memento.candidates import ExampleResult, ValidationResult
from autodev_learning.proof.agreement import Overfit
from autodev_learning.proof.prover import ProofLimits, Prover
from autodev_learning.trial import Execute, SandboxTester
from benchmarks.figures import Bar, Row, Side, judged, missing
from benchmarks.learning.effort import Effort
from benchmarks.proposer_search import Task, read_tasks
from tests.unit.learning.sandboxed import namespace_execute

BARS: Final[Mapping[str, Bar]] = {
    "proof-found": Bar("overfit to three examples, and suspected", Side.AT_LEAST, 50, "%"),
    "proof-doubted": Bar("right, and suspected", Side.AT_MOST, 10, "%"),
}
EXAMPLES: Final = 3
GOOD: Final = 5
SAMPLE: Final = 30
QUICK_SAMPLE: Final = 5


@dataclass(frozen=True)
class Marks:
    """The marks of a task's programs."""

    task: str
    overfit: tuple[Overfit, ...]
    right: tuple[Overfit, ...]

    @property
    def note(self) -> str:
        caught = sum(mark is not Overfit.NONE for mark in self.overfit)
        doubted = sum(mark is not Overfit.NONE for mark in self.right)
        return f"{self.task}: {caught} of {len(self.overfit)} overfit ones marked, {doubted} of {len(self.right)} right"


async def measure(names: Collection[str], effort: Effort) -> Mapping[str, Row]:
    """Mark the programs; both rows come from the same run."""
    if effort.tasks is None or effort.attempts is None:
        return {name: missing(BARS[name], "wants --tasks and --attempts") for name in names}
    sample = effort.sample or (QUICK_SAMPLE if effort.quick else SAMPLE)
    execute = await namespace_execute()
    marks = [await marks_of(task, sample, effort.seed, execute) for task in read_tasks(effort.tasks, effort.attempts)]
    overfit = [mark for each in marks for mark in each.overfit]
    right = [mark for each in marks for mark in each.right]
    caught = sum(mark is not Overfit.NONE for mark in overfit)
    counts = {
        "proof-found": (caught, overfit),
        "proof-doubted": (right.count(Overfit.SUSPECTED), right),
    }
    notes = {"proof-found": [each.note for each in marks]}
    return {
        name: judged(BARS[name], f"{number} of {len(of)}", "", 100 * number / max(1, len(of)), notes.get(name, ()))
        for name, (number, of) in counts.items()
        if name in names
    }


async def marks_of(task: Task, sample: int, seed: int, execute: Execute) -> Marks:
    """Mark a task's programs by what its first three calls show."""
    shown = tuple({call_key(example.call): example for example in task.examples}.values())[:EXAMPLES]
    tester = SandboxTester(execute, seconds_per_program=5.0, programs_per_execution=8)
    right = list(dict.fromkeys(task.successes))
    outcomes = await tester.run(task.failures, task.preamble, [example.call for example in shown])
    overfit = [
        code
        for code, given in zip(task.failures, outcomes, strict=True)
        if all(outcome.meets(example) for outcome, example in zip(given, shown, strict=True))
    ]
    prover = Prover(execute, ProofLimits())

    async def mark(code: str, number: int) -> Overfit:
        good = [other for other in right if other != code][number % 7 :][:GOOD]
        return await _mark(prover, task, code, good, shown, f"{seed}:{number}")

    return Marks(
        task.id,
        tuple([await mark(code, number) for number, code in enumerate(overfit[:sample])]),
        tuple([await mark(code, number) for number, code in enumerate(right[:sample])]),
    )


async def _mark(
    prover: Prover, task: Task, code: str, good: list[str], shown: tuple[Example, ...], seed: str
) -> Overfit:
    calls = [example.call for example in shown]
    checked = await prover.generated(code, good, task.preamble, calls, seed, f"{len(good)} programs that worked")
    results = tuple(ExampleResult(each.call, each.expected, each.expected, "", True, False) for each in shown)
    return ValidationResult(results, generated=checked).overfit
