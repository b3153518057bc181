"""What the engine costs beside proposing and evaluating: an instant proposer, and programs that only give a number.

Every step is a research experiment's own (`Steps.take`): parents are chosen, programs made and parsed, run in the
sandbox service, scored in other sandboxes, taken in, and stored with the step. Once each program has a sandbox of its
own, once many share one. The built-in proposer's screening is measured by itself: it has no steps.

Against OpenEvolve, which asks a model on this machine that answers at once, and runs programs in its own processes. The
bars count it as a command of 60 iterations; the notes say what it does without its start.
"""

import itertools
import tempfile
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from autodev_learning.evolution.breeding import Breeding
from autodev_learning.evolution.cascade import ScoreEvaluator
from autodev_learning.evolution.experiments import Experiment, ExperimentBudget
from autodev_learning.evolution.individuals import Offer
from autodev_learning.evolution.islands import Islands, Plan
from autodev_learning.evolution.laboratory import SCORING_S, LaboratoryLimits, Search
from autodev_learning.evolution.objectives import Objective
from autodev_learning.evolution.operators import Aim, Brief, Order
from autodev_learning.evolution.screening import single, together
from autodev_learning.evolution.steps import Steps
from autodev_learning.peers.sandbox import Sandbox
from autodev_learning.rows import OutboxRow
from autodev_learning.screening import Screener
from autodev_learning.store.experiments import ExperimentStore
from autodev_learning.trial import SandboxTester
from autodev_runtime.columns import now
from autodev_runtime.database import Database
from autodev_runtime.identity import acting_as, service_identity
from autodev_runtime.migrations import upgrade
from autodev_runtime.outbox import Outbox
from autodev_sandbox.execution import IsolationLevel
from autodev_sdk.events import uuid7
from benchmarks.figures import Bar, Row, Side, judged, missing
from benchmarks.learning import openevolve
from benchmarks.learning.effort import Effort
from benchmarks.sandbox.service import NotHere, serving
from tests.mesh import TENANT

BARS: Final[Mapping[str, Bar]] = {
    "overhead-alone": Bar("programs a second, a sandbox each", Side.AT_LEAST, 4, "x", "OpenEvolve"),
    "overhead-together": Bar("programs a second, many to a sandbox", Side.AT_LEAST, 50, "x", "OpenEvolve"),
    "overhead-screened": Bar("programs a second, screened as the search does", Side.AT_LEAST, 50, "x", "OpenEvolve"),
}
CALL: Final = "f()"
NONE_IS_BETTER: Final = Objective(
    "as little as can be", CALL, "def score(value):\n    return -value\n", "def f():\n    return 0\n"
)
"""The first program stays the best: one that would be the best is run twice."""


@dataclass(frozen=True)
class Size:
    """How many steps of how many programs."""

    steps: int
    batch: int

    @property
    def programs(self) -> int:
        return self.steps * self.batch


ALONE, TOGETHER = Size(10, 60), Size(10, 512)
QUICK: Final = 2
SCREENED: Final = 20_000
QUICK_SCREENED: Final = 2_000
REPEATS: Final = 3


class Instant:
    """Proposes at once what nobody proposed before."""

    name = "instant"

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    async def offers(self, orders: Sequence[Order], brief: Brief) -> Sequence[Offer | None]:
        return [Offer(program(next(self._numbers))) for _ in orders]


def program(number: int) -> str:
    """One that gives this number."""
    return f"def f():\n    return {number}\n"


async def measure(names: Collection[str], effort: Effort) -> Mapping[str, Row]:
    """Measure OpenEvolve, then what was asked for, one after the other."""
    try:
        theirs = await openevolve.rates(1 if effort.quick else REPEATS)
        async with serving(IsolationLevel.NAMESPACE) as service:
            with acting_as(service_identity("learning", TENANT)):
                sandbox = Sandbox(service.stub)
                ours = {}
                for name in BARS:
                    if name in names:
                        await service.rested()
                        ours[name] = await MEASURED[name](sandbox, effort)
    except (openevolve.NotHere, NotHere) as error:
        return {name: missing(BARS[name], str(error)) for name in names}
    return {name: _row(name, rate, theirs) for name, rate in ours.items()}


def _row(name: str, rate: float, theirs: openevolve.Rates) -> Row:
    notes = (
        f"OpenEvolve's search of {openevolve.ITERATIONS} without its start: {theirs.search:.0f}/s, "
        f"so {rate / theirs.search:.2f} x; its search of {openevolve.LONG}: {theirs.lasting:.0f}/s, "
        f"so {rate / theirs.lasting:.2f} x",
    )
    return judged(BARS[name], f"{rate:,.0f}/s", f"{theirs.command:.1f}/s", rate / theirs.command, notes)


async def alone_rate(sandbox: Sandbox, effort: Effort) -> float:
    """Programs a second of an experiment that gives each a sandbox of its own."""
    return await _experiment(sandbox, ALONE, effort, shared=False)


async def together_rate(sandbox: Sandbox, effort: Effort) -> float:
    """Programs a second of an experiment by score as it is by default."""
    return await _experiment(sandbox, TOGETHER, effort, shared=True)


async def screened_rate(sandbox: Sandbox, effort: Effort) -> float:
    """Programs a second of the built-in proposer's screening, one problem at a time."""
    programs = [(program(number),) for number in range(QUICK_SCREENED if effort.quick else SCREENED)]
    screener = Screener(sandbox.execute)
    started = time.perf_counter()
    rows = await screener.run(programs, "", [CALL])
    seconds = time.perf_counter() - started
    if [outcome.value for (outcome,) in rows] != [str(number) for number in range(len(programs))]:
        raise AssertionError("an outcome is another program's")
    return len(programs) / seconds


MEASURED: Final = {
    "overhead-alone": alone_rate,
    "overhead-together": together_rate,
    "overhead-screened": screened_rate,
}


async def _experiment(sandbox: Sandbox, size: Size, effort: Effort, *, shared: bool) -> float:
    steps = QUICK if effort.quick else size.steps
    plan = Plan(seed=effort.seed, batch=size.batch, alone=not shared)
    experiment = Experiment(uuid7(), uuid7(), "", "", "benchmark", ExperimentBudget(steps), now(), plan, NONE_IS_BETTER)
    with tempfile.TemporaryDirectory(prefix="autodev-bench-") as folder:
        async with Database(f"sqlite+aiosqlite:///{Path(folder) / 'learning.sqlite3'}") as database:
            await upgrade(database, "autodev_learning")
            store = ExperimentStore(database, Outbox(database, OutboxRow), most=1)
            await store.add(experiment)
            search = _search(sandbox, plan)
            first = await search.breeding.begin(search.code)
            await store.add_individuals(experiment.id, first)
            search.islands.admit(first)
            # The other parts are for a skill's search, or set a search up.
            takes = Steps(store, *cast(Any, [None] * 5))
            started = time.perf_counter()
            for _ in range(steps):
                if reason := await takes.take(experiment, search):
                    raise AssertionError(f"the experiment ends: {reason}")
                experiment = await store.get(experiment.id)
            seconds = time.perf_counter() - started
    if experiment.evaluated != steps * size.batch:
        raise AssertionError(f"{experiment.evaluated} of {steps * size.batch} programs were run")
    return experiment.evaluated / seconds


def _search(sandbox: Sandbox, plan: Plan) -> Search:
    """A search as the laboratory sets it up, with one operator that is instant."""
    limits, objective, instant = LaboratoryLimits(), NONE_IS_BETTER, Instant()
    proof = single(sandbox.execute_each, limits.trial_seconds, limits.lanes)
    screening = proof if plan.alone else together(sandbox.execute, limits.trial_seconds, limits.lanes)
    evaluator = ScoreEvaluator(objective, screening, proof, SandboxTester(sandbox.execute, SCORING_S))
    brief = Brief(Aim.SCORE, objective.description, (), ())
    return Search(Breeding(Islands(plan, [instant.name]), [instant], brief, evaluator), objective.initial_code)
