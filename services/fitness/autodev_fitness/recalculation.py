"""Scores again what was scored with earlier weights.

Each batch is bounded by rows, variants and their signals together, and each variant is one step of its own: done, it
carries the weights' number and is not found again. So a crash loses at most the step it fell into, starting again goes
on from there, and doing it twice gives the same. What a function scores that is away waits for it, and holds up nothing
else.
"""

import logging

from autodev_fitness import metrics
from autodev_fitness.fitness import Fitness, FunctionAway
from autodev_fitness.weights import WeightsInUse
from autodev_fitness.weights_store import WeightsStore
from autodev_runtime.errors import NotFound
from autodev_runtime.periodic import periodically

log = logging.getLogger(__name__)

LOOK_AGAIN_S = 60.0


class Recalculation:
    """Goes over the variants whose score is of earlier weights, of all tenants."""

    def __init__(self, fitness: Fitness, weights: WeightsInUse, store: WeightsStore, batch_rows: int) -> None:
        self._fitness = fitness
        self._weights = weights
        self._store = store
        self._batch_rows = batch_rows

    async def run(self) -> None:
        """Recalculate what needs it, now and whenever weights changed."""
        await periodically(self.catch_up, LOOK_AGAIN_S, "recalculation waits")

    async def catch_up(self) -> int:
        """Recalculate until nothing is left but what waits for its function. Returns how many variants were scored."""
        done, away = 0, set[str]()
        while scored := await self.batch(away):
            done += sum(scored)
        if done:
            log.info("%d scores recalculated with weights %d", done, self._weights.version)
        return done

    async def batch(self, away: set[str]) -> list[bool]:
        """Recalculate one batch, without what functions score that are `away`, to which those are added that prove so.

        Returns of each of its variants whether it was scored; nothing where none is left, or other weights are newer.
        """
        if not await self._weights.newest():
            return []
        outdated = await self._store.outdated(self._weights.version, self._batch_rows, away)
        return [await self._scored(tenant, variant_id, away) for tenant, variant_id in await self._bounded(outdated)]

    async def _scored(self, tenant: str, variant_id: str, away: set[str]) -> bool:
        try:
            await self._fitness.recalculate(tenant, variant_id)
        except NotFound:
            return False
        except FunctionAway as error:
            if error.function not in away:
                log.warning("what %s scored waits for it: %s", error.function, error)
            away.add(error.function)
            return False
        metrics.RECALCULATED.inc()
        return True

    async def _bounded(self, variants: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """The first of the variants, as many as have so many rows in all; one at least."""
        if not variants:
            return []
        signals = await self._store.signals_of(variants)
        rows = 0
        for count, variant in enumerate(variants):
            rows += 1 + signals.get(variant, 0)
            if rows > self._batch_rows and count:
                return variants[:count]
        return variants
