"""An experiment's steps on a real database."""

import threading
from collections.abc import Iterable, Sequence
from typing import Any, cast

from autodev_learning.evolution.breeding import Breeding
from autodev_learning.evolution.experiments import Experiment, ExperimentBudget
from autodev_learning.evolution.individuals import Evaluation, Individual, Offer, Stage
from autodev_learning.evolution.islands import Islands, Plan
from autodev_learning.evolution.laboratory import Search
from autodev_learning.evolution.objectives import Objective
from autodev_learning.evolution.operators import Aim, Brief, Operator, Order
from autodev_learning.evolution.steps import Steps
from autodev_learning.rows import OutboxRow
from autodev_learning.store.experiments import ExperimentStore
from autodev_runtime.columns import now
from autodev_runtime.identity import acting_as, service_identity
from autodev_runtime.migrations import upgrade
from autodev_runtime.outbox import Outbox
from tests.storage import Storage

START = "def f():\n    return 1.0\n"
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


class Laboratory:
    """Sets up a search whose islands are watched."""

    def __init__(self) -> None:
        self.islands: list[Watched] = []

    async def search_for(self, experiment: Experiment) -> Search:
        operator = cast(Operator, Grow())
        self.islands.append(Watched(experiment.plan, [operator.name]))
        return Search(Breeding(self.islands[-1], [operator], Brief(Aim.SCORE, "", ("f",), (), ""), Size()), START)


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
