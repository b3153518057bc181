"""Scores again what was scored with earlier weights.

Each batch is bounded by rows, variants and their signals together, and each variant is one step of its own: done, it
carries the weights' number and is not found again. So a crash loses at most the step it fell into, starting again goes
on from there, and doing it twice gives the same.
"""

import asyncio
import logging

from autodev_fitness import metrics
from autodev_fitness.fitness import Fitness
from autodev_fitness.weights import WeightsInUse
from autodev_fitness.weights_store import WeightsStore
from autodev_runtime.errors import NotFound, Unavailable

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
        while True:
            try:
                done = await self.catch_up()
            except Unavailable as error:
                log.warning("recalculation waits: %s", error)
            else:
                if done:
                    log.info("%d scores recalculated with weights %d", done, self._weights.version)
            await asyncio.sleep(LOOK_AGAIN_S)

    async def catch_up(self) -> int:
        """Recalculate until nothing is left, and give how many variants that were."""
        done = 0
        while count := await self.batch():
            done += count
        return done

    async def batch(self) -> int:
        """Recalculate one batch. Returns how many variants it had; 0 where none is left, or other weights are newer."""
        if not await self._weights.newest():
            return 0
        variants = await self._bounded(await self._store.outdated(self._weights.version, self._batch_rows))
        for tenant, variant_id in variants:
            try:
                await self._fitness.recalculate(tenant, variant_id)
            except NotFound:
                continue
            metrics.RECALCULATED.inc()
        return len(variants)

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
