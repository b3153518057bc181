"""Retention: how much of each tenant's log is kept, by age and by size, and the deletion of what is beyond it.

An episode is kept as long as its latest report would be.

Each tenant is looked at by itself, by its own part of an index: what a busy tenant publishes costs no other one its
events, and what a sweep reads is bounded by what it keeps.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from autodev_gateway import metrics
from autodev_gateway.event_log.engine import Engine
from autodev_gateway.event_log.model import Trims
from autodev_runtime.errors import Unavailable

if TYPE_CHECKING:
    from autodev_gateway.event_log.log import EventLog

logger = logging.getLogger(__name__)

SWEEP_PERIOD_S = 30.0
SWEEP_SHARE = 0.1
"""How much of the time sweeps may take, where there are so many tenants that the period would not do."""


@dataclass(frozen=True, slots=True)
class Retention:
    """What to keep of each tenant's events; None: everything."""

    age: timedelta | None = None
    size_bytes: int | None = None
    tenants: Mapping[str, "Retention"] = field(default_factory=dict)
    """For these tenants instead."""

    def of(self, tenant: str) -> "Retention":
        """What to keep of one tenant's."""
        return self.tenants.get(tenant, self)

    @property
    def keeps_all(self) -> bool:
        """Whether nothing is ever deleted of any tenant's."""
        unbounded = self.age is None and self.size_bytes is None
        return unbounded and all(each.keeps_all for each in self.tenants.values())


class Sweeper:
    """Deletes what is past retention."""

    def __init__(self, engine: Engine, trims: Trims, retention: Retention) -> None:
        self._engine = engine
        self._trims = trims
        self._retention = retention
        self.prepare: Callable[[], Awaitable[object]] | None = None

    async def sweep(self, head: int) -> int:
        """Delete what is past retention, up to a place. Returns how many events."""
        if self._retention.keeps_all:
            return 0
        deleted = forgotten = 0
        for tenant in await self._engine.index.tenants():
            doomed = await self._doomed(tenant)
            # First, since by size nothing is doomed any more once the events are gone.
            forgotten += await self._forget(tenant, doomed)
            deleted += await self._sweep(tenant, min(head, doomed))
        if deleted or forgotten:
            metrics.TRIMMED.inc(deleted)
            logger.info("retention deleted %d events and %d episodes", deleted, forgotten)
        return deleted

    async def _doomed(self, tenant: str) -> int:
        """The place up to which the tenant's events must go."""
        kept = self._retention.of(tenant)
        through = 0
        if kept.age is not None:
            through = int((time.time() - kept.age.total_seconds()) * 1_000_000)
        if kept.size_bytes is not None:
            through = max(through, await self._engine.index.beyond(tenant, kept.size_bytes))
        return through

    async def _forget(self, tenant: str, through: int) -> int:
        forgotten = 0
        while through > 0 and (count := await self._engine.index.forget(tenant, through)):
            forgotten += count
        return forgotten

    async def _sweep(self, tenant: str, through: int) -> int:
        deleted = 0
        while through > 0 and (trimmed := await self._engine.index.trimmable(tenant, through)):
            # Before the deletion: who reads in between is told, and never finds a gap.
            self._trims.advance({tenant: trimmed})
            if self.prepare is not None:
                await self.prepare()
            deleted += await self._engine.trim({tenant: trimmed})
        return deleted


async def sweeping(log: "EventLog") -> None:
    """Delete what is past retention, again and again."""
    while True:
        started = time.monotonic()
        try:
            await log.sweep()
        except Unavailable as error:
            logger.warning("retention has to wait: %s", error)
        taken_s = time.monotonic() - started
        await asyncio.sleep(max(SWEEP_PERIOD_S, taken_s / SWEEP_SHARE))
