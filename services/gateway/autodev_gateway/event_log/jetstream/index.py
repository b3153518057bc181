"""The database's rows of what the stream holds: ids against repeats, sizes for retention, and episodes.

They are written a moment after the stream, off the path that publishers wait for. What is not written yet is in memory,
in every gateway: each follows the stream. Several gateways write the same rows in the same order, so each goes on
where the rows end.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice

from sqlalchemy import Table, select, update

from autodev_gateway import wire
from autodev_gateway.event_log.appending import Stamped
from autodev_gateway.event_log.model import Record
from autodev_gateway.event_log.store import EventStore
from autodev_gateway.rows import DeadLetterRow, DeliveryRow, EventRow
from autodev_gateway.shutdown import to_the_end
from autodev_runtime.database import Database
from autodev_runtime.errors import Unavailable
from autodev_runtime.identity import ALL_TENANTS
from autodev_runtime.repeating import repeatable

log = logging.getLogger(__name__)

ROWS_AT_ONCE = 2000
MOST_PENDING = 50_000
"""How many events may be in the stream and not in the database; appends wait then."""
WAIT_S = 10.0
RETRY_S = 1.0
NOTHING_MISSED = 2**62

_events: Table = EventRow.__table__  # type: ignore[assignment]

Key = tuple[str, str]


class _Written(Exception):
    """Another gateway has written these rows."""


class Index:
    """Follows the stream into the database."""

    def __init__(self, database: Database, rows: EventStore) -> None:
        self.rows = rows
        self.position = 0
        """The place up to which the database has rows."""
        self._database = database
        self._pending: deque[Stamped] = deque()
        self._recent: dict[Key, int] = {}
        self._changed = asyncio.Condition()

    def add(self, events: Sequence[Stamped]) -> None:
        """What the stream has got: everything, in order."""
        for each in events:
            appended = each.appended
            if appended.record.seq <= self.position:
                continue
            # Its bytes stay in the stream.
            row = appended._replace(record=Record(appended.record.seq, b""))
            size_bytes = len(wire.unsized(appended.record.sized))
            self._pending.append(each._replace(appended=row, size_elsewhere=size_bytes))
            self._recent[appended.tenant, each.event_id] = appended.record.seq

    async def known(self, batch: Sequence[Stamped]) -> dict[Key, int]:
        """Of a batch, the events whose id is there, with their places."""
        # In this order: what is written leaves memory after it.
        known = {key: seq for each in batch if (seq := self._recent.get(key := _key(each))) is not None}
        rest = [each for each in batch if _key(each) not in known]
        ids: dict[str, list[str]] = {}
        for each in rest:
            ids.setdefault(each.appended.tenant, []).append(each.event_id)
        async with self._database.connection(ALL_TENANTS) as connection:
            for tenant, stated in ids.items():
                found = select(_events.c.event_id, _events.c.seq).where(
                    _events.c.tenant_id == tenant, _events.c.event_id.in_(stated)
                )
                known |= {(tenant, event_id): seq for event_id, seq in await connection.execute(found)}
        return known

    async def run(self) -> None:
        """Write what there is, for ever."""
        while True:
            try:
                while self._pending:
                    await self.write()
            except Unavailable as error:
                log.warning("the database has to wait for %d events: %s", len(self._pending), error)
                await asyncio.sleep(RETRY_S)
                continue
            async with self._changed:
                await self._changed.wait_for(lambda: self._pending)

    async def write_most(self) -> None:
        """Write until little waits. Raises Unavailable."""
        while len(self._pending) >= ROWS_AT_ONCE:
            await self.write()

    async def wake(self) -> None:
        """There is something to write."""
        async with self._changed:
            self._changed.notify_all()

    async def write(self) -> None:
        """Write the first rows of those that wait. Raises Unavailable."""
        chunk = list(islice(self._pending, ROWS_AT_ONCE))
        await to_the_end(self._write(chunk), self._database.patience)

    async def _write(self, chunk: list[Stamped]) -> None:
        def missing(head: int) -> Sequence[Stamped]:
            found = [each for each in chunk if each.appended.record.seq > head]
            if not found:
                raise _Written
            return found

        with contextlib.suppress(_Written):
            await self.rows.append(missing, NOTHING_MISSED)
        self.position = chunk[-1].appended.record.seq
        for each in chunk:
            self._pending.popleft()
            key = _key(each)
            if self._recent.get(key) == each.appended.record.seq:
                del self._recent[key]
        await self.wake()

    async def room(self) -> None:
        """Wait until an append may be followed soon. Raises Unavailable."""
        await self._until(lambda: len(self._pending) < MOST_PENDING)

    async def through(self, place: int) -> None:
        """Wait until the database has all up to a place. Raises Unavailable."""
        await self._until(lambda: self.position >= place)

    async def _until(self, holds: Callable[[], bool]) -> None:
        if holds():
            return
        try:
            async with asyncio.timeout(WAIT_S), self._changed:
                await self._changed.wait_for(holds)
        except TimeoutError:
            raise Unavailable("the database does not keep up with the event log", reason="LOG_UNAVAILABLE") from None

    async def needed(self, through: dict[str, int]) -> dict[str, list[int]]:
        """What the database must keep of events up to these places, because a group needs them, and does not have."""
        deliveries, dead = DeliveryRow.__table__, DeadLetterRow.__table__
        kept = select(deliveries.c.seq).union(select(dead.c.seq))
        query = select(_events.c.tenant_id, _events.c.seq).where(_events.c.seq.in_(kept), _events.c.event == b"")
        found: dict[str, list[int]] = {}
        async with self._database.connection(ALL_TENANTS) as connection:
            for tenant, seq in await connection.execute(query.where(_events.c.seq <= max(through.values()))):
                if seq <= through.get(tenant, 0):
                    found.setdefault(tenant, []).append(seq)
        return found

    @repeatable
    async def keep(self, events: Sequence[tuple[int, bytes]]) -> None:
        """Store events whose rows are there."""
        async with self._database.across_tenants() as session:
            connection = await session.connection()
            for seq, event in events:
                await connection.execute(update(_events).where(_events.c.seq == seq).values(event=event))


def _key(stamped: Stamped) -> Key:
    return stamped.appended.tenant, stamped.event_id
