"""One step of a search: orders to operators, offers to programs, programs to evaluations."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from autodev_learning.evolution.cascade import Evaluator
from autodev_learning.evolution.individuals import Individual, Offer, Stage
from autodev_learning.evolution.islands import Islands, Ordered
from autodev_learning.evolution.operators import Brief, Operator
from autodev_learning.peers.patience import patiently
from autodev_learning.proposers.allowance import Allowance
from autodev_sdk.ending import results_of

MOST_CHARACTERS = 2000
EVALUATION_PATIENCE_S = 300.0


@dataclass(frozen=True)
class Breeding:
    """Makes and evaluates programs; the islands change only by `admit`, once a step is kept."""

    islands: Islands
    operators: Sequence[Operator]
    brief: Brief
    evaluator: Evaluator

    async def begin(self, code: str) -> list[Individual]:
        """The original, evaluated. Raises NotPython, and what the sandbox raises."""
        evaluation = await self.evaluator.original(code)
        return [kept(await asyncio.to_thread(self.islands.begin, code, evaluation))]

    async def breed(self, step: int, allowance: Allowance | None = None) -> list[Individual]:
        """The programs of a step, evaluated, in the order in which they were wished for; none when there are no ideas.

        Those who propose may use of the allowance together.

        Raises what the sandbox raises.
        """
        ordered = await asyncio.to_thread(self.islands.orders, step)
        made = await self._made(ordered, replace(self.brief, allowance=allowance))
        individuals = await asyncio.to_thread(self.islands.conceived, step, made)
        return await self._evaluated(individuals)

    async def _made(self, ordered: Sequence[Ordered], brief: Brief) -> list[tuple[Ordered, Offer | None]]:
        shares: dict[str, list[int]] = defaultdict(list)
        for index, each in enumerate(ordered):
            shares[each.operator].append(index)
        operators = [operator for operator in self.operators if operator.name in shares]
        answers = await results_of(
            *(
                operator.offers([ordered[index].order for index in shares[operator.name]], brief)
                for operator in operators
            )
        )
        offers: dict[int, Offer | None] = {}
        for operator, answer in zip(operators, answers, strict=True):
            offers.update(zip(shares[operator.name], answer, strict=True))
        return [(each, offers.get(index)) for index, each in enumerate(ordered)]

    async def _evaluated(self, individuals: list[Individual]) -> list[Individual]:
        # Only what is no program has no digest; only what was there before is KNOWN already.
        fresh = [each for each in individuals if each.digest and each.evaluation.stage is not Stage.KNOWN]
        best = self.islands.best.fitness if self.islands.best else 0.0
        # Not by taking the whole step again, for which proposers would be asked, and paid, again.
        evaluate = partial(self.evaluator.evaluate, [each.code for each in fresh], best)
        found = await patiently(evaluate, EVALUATION_PATIENCE_S) if fresh else ()
        evaluations = {each.number: evaluation for each, evaluation in zip(fresh, found, strict=True)}
        return [kept(replace(each, evaluation=evaluations.get(each.number, each.evaluation))) for each in individuals]


def kept(individual: Individual) -> Individual:
    """As it is kept: without the code of what was there before, or is no program, and without what no column holds."""
    code = "" if individual.evaluation.stage in (Stage.KNOWN, Stage.PARSES) else individual.offer.code
    return replace(
        individual,
        offer=replace(individual.offer, code=code, note=_storable(individual.offer.note)),
        evaluation=replace(individual.evaluation, feedback=_storable(individual.evaluation.feedback)),
    )


def _storable(text: str) -> str:
    """What a program or a model said, as a database takes it."""
    return text[:MOST_CHARACTERS].encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")
