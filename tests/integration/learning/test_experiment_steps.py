"""An experiment's steps on a real database."""

import asyncio
import contextlib
import random
import threading
import tracemalloc
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, cast

from autodev.learning.v1 import evolver_service_pb2 as evolver
from autodev.learning.v1.evolver_service_pb2_grpc import EvolverServiceStub, add_EvolverServiceServicer_to_server
from autodev_learning.evolution.archive import fittest
from autodev_learning.evolution.breeding import Breeding
from autodev_learning.evolution.experiments import Experiment, ExperimentBudget, Step
from autodev_learning.evolution.individuals import Evaluation, Individual, Offer, Stage
from autodev_learning.evolution.islands import Islands, Plan, payoffs
from autodev_learning.evolution.laboratory import Search
from autodev_learning.evolution.objectives import Objective
from autodev_learning.evolution.operators import Aim, Brief, Operator, Order
from autodev_learning.evolution.pareto import front_of
from autodev_learning.evolution.research import Research, ResearchLimits
from autodev_learning.evolution.steps import Steps, allowance_of
from autodev_learning.proposers.allowance import Held
from autodev_learning.rows import OutboxRow
from autodev_learning.servicers.evolver import EvolverServicer
from autodev_learning.servicers.experiments import program_to_proto
from autodev_learning.store.experiments import ExperimentStore
from autodev_learning.store.mutations import MutationStore
from autodev_runtime.columns import now
from autodev_runtime.database import Database
from autodev_runtime.errors import ResourceExhausted
from autodev_runtime.identity import acting_as, service_identity
from autodev_runtime.migrations import upgrade
from autodev_runtime.outbox import Outbox
from autodev_runtime.server import Served
from autodev_sdk.ending import ended
from tests.mesh import eventually
from tests.serving import acting, serving
from tests.storage import Storage

START = "def f():\n    return 1.0\n"
PRICE = 60
FULL = ResourceExhausted("4 executions are waiting", reason="QUEUE_FULL")
OBJECTIVE = Objective("", "f()", "def score(value):\n    return value\n", START)


class Grow:
    """Makes the same program larger by one."""

    name = "grow"

    async def offers(self, orders: Sequence[Order], brief: Brief) -> Sequence[Offer | None]:
        return [Offer(f"def f():\n    return {order.parent.number + 2}.0\n") for order in orders]


class Size:
    """Scores programs by their last number."""

    async def original(self, code: str) -> Evaluation:
        return (await self.evaluate([code], 0.0))[0]

    async def evaluate(self, codes: Sequence[str], best: float) -> Sequence[Evaluation]:
        return [Evaluation(Stage.DONE, score := float(code.split()[-1]), score) for code in codes]


class Watched(Islands):
    """Says in which threads programs were taken in."""

    def __init__(self, plan: Plan, operators: Sequence[str]) -> None:
        super().__init__(plan, operators)
        self.threads: list[int] = []

    def admit(self, individuals: Iterable[Individual]) -> None:
        self.threads.append(threading.get_ident())
        super().admit(individuals)


class Paid(Grow):
    """Is paid 60 tokens a time, as models are, and then finds the sandbox full, or waits for ever."""

    def __init__(self, full: int = 0) -> None:
        self.asked = self.paid = 0
        self.never: asyncio.Event | None = None
        self._full = full

    async def offers(self, orders: Sequence[Order], brief: Brief) -> Sequence[Offer | None]:
        self.asked += 1
        assert brief.allowance is not None
        tokens = 0
        if brief.allowance.hold(PRICE, 0) is Held.YES:
            tokens = PRICE
            self.paid += PRICE
        if self.never is not None:
            self.never.set()
            await asyncio.Event().wait()
        if self.asked <= self._full:
            raise FULL
        made = await super().offers(orders, brief)
        return [replace(each, tokens=tokens if not place else 0) for place, each in enumerate(filter(None, made))]


class Crowded(Size):
    """Finds the sandbox full a few times."""

    def __init__(self, full: int) -> None:
        self._full = full

    async def evaluate(self, codes: Sequence[str], best: float) -> Sequence[Evaluation]:
        if codes != [START] and self._full:
            self._full -= 1
            raise FULL
        return await super().evaluate(codes, best)


class Laboratory:
    """Sets up a search whose islands are watched."""

    def __init__(self, operator: Grow | None = None, evaluator: Size | None = None) -> None:
        self.islands: list[Watched] = []
        self._operator = operator or Grow()
        self._evaluator = evaluator or Size()

    async def search_for(self, experiment: Experiment) -> Search:
        operator = cast(Operator, self._operator)
        self.islands.append(Watched(experiment.plan, [operator.name]))
        brief = Brief(Aim.SCORE, "", ("f",), (), "")
        return Search(Breeding(self.islands[-1], [operator], brief, self._evaluator), START)


@contextlib.asynccontextmanager
async def at_work(database: Database, laboratory: Laboratory, iterations: int) -> AsyncIterator[ExperimentStore]:
    """A replica that works at an experiment which may use 100 tokens."""
    outbox = Outbox(database, OutboxRow)
    store = ExperimentStore(database, outbox, most=1)
    steps = Steps(store, *cast(Any, (None, laboratory, None, None, None)))
    # The other parts are for a skill's search, or for starting one.
    parts = (MutationStore(database, outbox), None, None, None, steps, None, ResearchLimits())
    research = Research(store, *cast(Any, parts))
    with acting_as(service_identity("learning", "acme")):
        budget = ExperimentBudget(iterations, max_tokens=100)
        await store.add(Experiment("e", "r", "", "", "agent", budget, now(), Plan(islands=1, batch=2), OBJECTIVE))
        running = asyncio.ensure_future(research.run())
        try:
            yield store
        finally:
            await ended(running)


async def over(store: ExperimentStore) -> Experiment:
    async def look() -> Experiment | None:
        found = await store.get("e")
        return found if found.ended_at is not None else None

    return await eventually(look, "the experiment is over")


async def test_tries_at_a_step_that_find_the_sandbox_full_use_no_more_than_the_budget(database: Database) -> None:
    paid = Paid(full=3)
    async with at_work(database, Laboratory(paid), iterations=1) as store:
        found = await over(store)
    assert (paid.asked, paid.paid) == (4, PRICE)
    assert [step.tokens for step in found.steps] == [PRICE]
    assert found.tokens_used == PRICE


async def test_what_proposers_were_paid_for_is_kept_while_the_sandbox_is_full(database: Database) -> None:
    paid = Paid()
    async with at_work(database, Laboratory(paid, Crowded(full=3)), iterations=1) as store:
        found = await over(store)
    assert (paid.asked, found.tokens_used, found.evaluated) == (1, PRICE, 1)


async def test_what_a_step_used_that_ends_with_its_replica_is_counted(database: Database) -> None:
    paid = Paid()
    paid.never = asyncio.Event()
    async with at_work(database, Laboratory(paid), iterations=1) as store:
        await paid.never.wait()
    with acting_as(service_identity("learning", "acme")):
        left = await store.get("e")
        assert (left.tokens_used, left.steps) == (PRICE, ())
        assert allowance_of(left).hold(100 - PRICE + 1, 0) is Held.NO
        after = await store.add_step("e", Step(1, "", "", kept=False, tokens=1))
        assert (after.steps[0].tokens, after.tokens_used) == (PRICE + 1, PRICE + 1)
        assert await store.get("e") == after


async def test_of_an_experiments_programs_no_more_code_is_read_than_is_told(database: Database) -> None:
    store = ExperimentStore(database, Outbox(database, OutboxRow), most=1)
    research = Research(store, *cast(Any, [None] * 6 + [ResearchLimits()]))
    servicer = EvolverServicer(*cast(Any, [None] * 4 + [research] + [None] * 5))
    chance = random.Random(5)
    made = [_drawn(number, chance) for number in range(200)]
    with acting_as(service_identity("learning", "acme")):
        await store.add(Experiment("e", "r", "", "", "agent", ExperimentBudget(), now(), Plan(), OBJECTIVE))
        await store.add_individuals("e", made)
        wanted = await store.get("e")
    service = Served("autodev.learning.v1.EvolverService", partial(add_EvolverServiceServicer_to_server, servicer))
    async with serving([service]) as channel:
        stub = EvolverServiceStub(acting(channel, "acme"))
        tracemalloc.start()
        answer = await stub.GetExperiment(evolver.GetExperimentRequest(experiment_id="e"))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert list(answer.front) == [program_to_proto(each, wanted) for each in front_of(made)]
    assert answer.best == program_to_proto(fittest(each for each in made if each.alive)[0], wanted)
    assert {each.name: (each.tried, each.evaluated) for each in answer.operators} == payoffs(made)
    assert len(answer.front) < 20
    assert peak < sum(len(each.code) for each in made) / 2


def _drawn(number: int, chance: random.Random) -> Individual:
    """A program that is good by lot, and whose code is long."""
    quality, stage = chance.random(), chance.choice([Stage.NONE, Stage.QUICK, Stage.ALL, Stage.DONE, Stage.DONE])
    found = Evaluation(stage, quality, quality, chance.random(), chance.randrange(3), "told")
    offer = Offer(f"{number}" * 50_000, "made", tokens=chance.randrange(3))
    return Individual(number, 1, 0, 0, chance.choice("ab"), offer, found, "d", chance.randrange(3), 0.5)


async def test_what_a_step_made_is_taken_in_beside_the_loop_that_serves(storage: Storage) -> None:
    """Learning from a batch of long programs takes seconds, in which nobody else would be answered."""
    laboratory = Laboratory()
    async with storage.open("learning") as database:
        await upgrade(database, "autodev_learning")
        store = ExperimentStore(database, Outbox(database, OutboxRow), most=1)
        steps = Steps(store, *cast(Any, (None, laboratory, None, None, None)))
        with acting_as(service_identity("learning", "acme")):
            plan = Plan(islands=1, batch=2)
            wanted = Experiment("e", "r", "", "", "agent", ExperimentBudget(), now(), plan, OBJECTIVE)
            experiment = await store.add(wanted)
            search = await steps.resume(experiment)
            assert search is not None
            assert await steps.take(experiment, search) is None
            resumed = await steps.resume(await store.get(experiment.id))
            assert resumed is not None
    first, again = laboratory.islands
    assert first.threads
    assert threading.get_ident() not in first.threads + again.threads
    assert [each.code for each in again.individuals] == [each.code for each in first.individuals]
    assert first.step == again.step == 1
