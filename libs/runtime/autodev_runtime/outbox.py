"""The outbox: a service writes its rows and its events in one transaction, and a relay publishes the events.

A crash before the commit leaves neither; one after it leaves both, and the relay goes on at the next start. Publishing
again is harmless: the log drops an id that it has.
"""

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from prometheus_client import Gauge
from sqlalchemy import LargeBinary, delete, select
from sqlalchemy import event as hooks
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from autodev.gateway.v1.event_pb2 import Event
from autodev_runtime.columns import LargeInteger, Moment, now
from autodev_runtime.database import Database
from autodev_runtime.errors import AutoDevError, InvalidArgument
from autodev_runtime.paging import fitting
from autodev_runtime.scoped_session import TenantScoped
from autodev_runtime.spans import made

log = logging.getLogger(__name__)

BATCH_EVENTS = 200
POLL_S = 1.0
RETRY_S = 0.2

LAG = Gauge("autodev_outbox_lag_seconds", "Age of the oldest event that is written and not yet published")


ADD = "INSERT INTO outbox (tenant_id, event, created_at) VALUES ($1, $2, MOMENT($3))"
"""The statement of a script that writes one event, as `written`."""


def written(event: Event, tenant: str) -> bytes:
    """An event as the outbox holds it: the tenant's, and part of the current trace."""
    event.tenant_id = tenant
    trace = made(event, event.WhichOneof("payload") or "")
    if trace is not None:
        event.traceparent = trace.traceparent
    return event.SerializeToString()


class OutboxRow(TenantScoped):
    """Columns of a service's `outbox` table: `class OutboxRow(outbox.OutboxRow, Base)`."""

    __tablename__ = "outbox"
    position: Mapped[int] = mapped_column(LargeInteger, primary_key=True, autoincrement=True)
    event: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(Moment, default=now)


class Publish(Protocol):
    """Appends events to the log. Raises AutoDevError."""

    async def __call__(self, events: Sequence[Event]) -> None: ...


class Outbox:
    """Adds events to a service's outbox, and relays them."""

    def __init__(self, database: Database, row: type[OutboxRow]) -> None:
        self._database = database
        self._row = row
        self._added = asyncio.Event()

    def add(self, session: AsyncSession, *events: Event) -> None:
        """Write events with the session's transaction. They are published after its commit."""
        tenant = session.info["tenant"]
        for event in events:
            row = self._row()
            row.event = written(event, tenant)
            session.add(row)
        # Not before the commit: a relay that looks sooner finds nothing, and sleeps.
        hooks.listen(session.sync_session, "after_commit", lambda _: self.added(), once=True)

    def added(self) -> None:
        """Rows were written and committed, maybe by a script of `ADD`: the relay need not wait."""
        self._added.set()

    async def relay(self, publish: Publish) -> None:
        """Publish what is written, oldest first, for ever."""
        while True:
            try:
                sent = await self._relay_batch(publish)
            except AutoDevError as error:
                log.warning("events wait in the outbox: %s", error)
                await asyncio.sleep(RETRY_S)
                continue
            if not sent:
                await self._wait()

    async def _relay_batch(self, publish: Publish) -> int:
        self._added.clear()
        async with self._database.across_tenants() as session:
            rows = list(await session.scalars(select(self._row).order_by(self._row.position).limit(BATCH_EVENTS)))
        if not rows:
            LAG.set(0)
            return 0
        LAG.set((now() - rows[0].created_at).total_seconds())
        # No more than a message holds: one that is too large would be tried again for ever.
        events = fitting([Event.FromString(row.event) for row in rows])
        await self._publish(publish, events)
        sent = [row.position for row in rows[: len(events)]]
        async with self._database.across_tenants() as session:
            await session.execute(delete(self._row).where(self._row.position.in_(sent)))
        return len(sent)

    async def _publish(self, publish: Publish, events: Sequence[Event]) -> None:
        try:
            await publish(events)
        except InvalidArgument as error:
            if len(events) == 1:
                # The log will never take it: waiting for it would hold up every event behind it.
                log.error("dropped an event that the log refuses, %s: %s", events[0].id, error)
                return
            for event in events:
                await self._publish(publish, [event])

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(POLL_S):
                await self._added.wait()
        except TimeoutError:
            return
