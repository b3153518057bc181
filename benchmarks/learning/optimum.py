"""How near an experiment by score comes to an optimum that is known: minimising a function, and packing circles.

The engine as it is by default with its own operators, no model: each seed is a search of its own from the same first
program, for so many steps, whether they better it or not. The curves are drawn into docs/optimum.svg, unless --quick.
"""

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from autodev_learning.evolution.breeding import Breeding
from autodev_learning.evolution.cascade import ScoreEvaluator
from autodev_learning.evolution.individuals import Individual, Stage
from autodev_learning.evolution.islands import Islands, Plan
from autodev_learning.evolution.laboratory import SCORING_S, LaboratoryLimits
from autodev_learning.evolution.objectives import Objective, named_objectives
from autodev_learning.evolution.operators import Aim, Brief, operators_for
from autodev_learning.evolution.screening import alone, together
from autodev_learning.trial import Execute, SandboxTester
from benchmarks.figures import Bar, Row, Side, judged
from benchmarks.learning.effort import Effort
from benchmarks.learning.plot import Curve, Panel, svg
from tests.unit.learning.sandboxed import namespace_execute

BARS: Final[Mapping[str, Bar]] = {
    "optimum-waves": Bar("a function's minimum, the worst seed's distance", Side.AT_MOST, 0.1, "%"),
    "optimum-packing": Bar("7 circles in a square, the worst seed's distance", Side.AT_MOST, 1, "%"),
}
PLOT: Final = Path("docs/optimum.svg")
SEEDS: Final = 5
STEPS, QUICK_STEPS = 500, 20
NEAREST: Final = 1e-9
"""Below so many per cent a distance is a matter of rounding."""


@dataclass(frozen=True)
class Task:
    """An objective, and the best score that there is."""

    row: str
    objective: str
    title: str
    optimum: float


TASKS: Final = (
    # On a grid of 400 by 400 points, the lowest refined: at (-1.70408, 0.67751).
    Task("optimum-waves", "minimise-waves", "minimise sin(x) cos(y) + sin(xy) + (x² + y²) / 20", -1.518685840849),
    # Proven to be the most.
    Task("optimum-packing", "pack-7-circles", "7 equal circles in the unit square: radius", 1 / (4 + 3**0.5)),
)


@dataclass(frozen=True)
class Run:
    """One seed's search: the best score after so many evaluations, each time that it was bettered, and at the end."""

    seed: int
    best: Sequence[tuple[int, float]]
    evaluated: int
    seconds: float

    @property
    def score(self) -> float:
        return self.best[-1][1]


async def measure(names: Collection[str], effort: Effort) -> Mapping[str, Row]:
    """Search by every seed, and draw what was found."""
    execute = await namespace_execute()
    rows, panels = {}, []
    for task in TASKS:
        if task.row in names:
            runs = [await searched(task, effort.seed + seed, effort, execute) for seed in range(SEEDS)]
            worst = max(distance(run.score, task.optimum) for run in runs)
            rows[task.row] = judged(BARS[task.row], f"{SEEDS} seeds", "", worst, list(in_words(task, runs)))
            panels.append(panel(task, runs))
    if len(panels) == len(TASKS) and not effort.quick:
        PLOT.write_text(svg(panels))
    return rows


async def searched(task: Task, seed: int, effort: Effort, execute: Execute) -> Run:
    """Search by one seed, for a fixed number of steps."""
    objective, limits = named_objectives()[task.objective], LaboratoryLimits()
    proof = alone(execute, limits.trial_seconds, limits.lanes)
    screening = together(execute, limits.trial_seconds, limits.lanes)
    evaluator = ScoreEvaluator(objective, screening, proof, SandboxTester(execute, SCORING_S))
    operators = operators_for(Aim.SCORE)
    islands = Islands(Plan(seed=seed), [operator.name for operator in operators])
    breeding = Breeding(islands, operators, Brief(Aim.SCORE, objective.description, (), ()), evaluator)
    started = time.monotonic()
    islands.admit(await breeding.begin(objective.initial_code))
    for step in range(1, (QUICK_STEPS if effort.quick else STEPS) + 1):
        islands.admit(await breeding.breed(step))
        islands.end_step(step)
    best = list(bettered(islands.individuals, objective))
    evaluated = best[-1][0]
    print(f"  {task.objective}, seed {seed}: {best[-1][1]:.10g} after {evaluated} programs", flush=True)
    return Run(seed, best, evaluated, time.monotonic() - started)


def bettered(individuals: Sequence[Individual], objective: Objective) -> Iterator[tuple[int, float]]:
    """Each best score, with how many programs had been run by then; and the last once more, at the end."""
    best, evaluated = individuals[0].fitness, 1
    yield evaluated, objective.score(best)
    for individual in individuals[1:]:
        stage = individual.evaluation.stage
        evaluated += stage in (Stage.QUICK, Stage.DONE)
        if stage is Stage.DONE and individual.fitness > best:
            best = individual.fitness
            yield evaluated, objective.score(best)
    yield evaluated, objective.score(best)


def distance(score: float, optimum: float) -> float:
    """How far a score is from the optimum, in per cent of it."""
    return 100 * abs(score - optimum) / abs(optimum)


def in_words(task: Task, runs: Sequence[Run]) -> Iterator[str]:
    """A table, as docs/results.md has it."""
    yield "| seed | known optimum | found | distance | programs to within 1 % | programs run | s |"
    yield "|---|---|---|---|---|---|---|"
    for run in runs:
        near = next((f"{at:,}" for at, score in run.best if distance(score, task.optimum) <= 1), "never")
        yield (
            f"| {run.seed} | {task.optimum:.9f} | {run.score:.9f} | {distance(run.score, task.optimum):.2g} % | "
            f"{near} | {run.evaluated:,} | {run.seconds:.1f} |"
        )


def panel(task: Task, runs: Sequence[Run]) -> Panel:
    """The distance over the number of programs that were run."""
    curves = [
        Curve(f"seed {run.seed}", [(at, distance(score, task.optimum)) for at, score in run.best]) for run in runs
    ]
    return Panel(task.title, "programs run", "% from the known optimum", NEAREST, curves)
