"""The event log on a database. Every method that reads names its tenant; `*` is all of them."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

from sqlalchemy import Select, Table, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from autodev_gateway import wire
from autodev_gateway.event_log import single
from autodev_gateway.event_log.appending import Stamp, Written, appended_after
from autodev_gateway.event_log.engine import Bounds, JoinedReading, Newest, Reading
from autodev_gateway.event_log.model import READ_AHEAD, Appended, Filter, Page, PageBounds, Record, joined_of
from autodev_gateway.event_log.shared import CHANNEL, Shared
from autodev_gateway.rows import DeadLetterRow, DeliveryRow, EpisodeRow, EventRow, TrimRow
from autodev_runtime.columns import conflicting_insert
from autodev_runtime.database import Database
from autodev_runtime.identity import ALL_TENANTS
from autodev_runtime.repeating import repeatable

DELETED_AT_ONCE = 2000

_events: Table = EventRow.__table__  # type: ignore[assignment]
_trims: Table = TrimRow.__table__  # type: ignore[assignment]
_episodes: Table = EpisodeRow.__table__  # type: ignore[assignment]


class EventStore:
    """The tables `events`, `event_trims` and of `episodes` the writing and deleting. An `Engine`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        conflicting = conflicting_insert("sqlite" if database.is_sqlite else "postgresql")
        self._shared = Shared() if self.shared else None
        add_trim = conflicting(_trims)
        further = add_trim.excluded.through_seq > _trims.c.through_seq
        self._add_trim = add_trim.on_conflict_do_update(
            index_elements=["tenant_id"], set_={"through_seq": add_trim.excluded.through_seq}, where=further
        )

    async def bounds(self) -> Bounds:
        """Where the log stands."""
        async with self._database.connection(ALL_TENANTS) as connection:
            head = (await connection.execute(select(func.max(_events.c.seq)))).scalar() or 0
            rows = (await connection.execute(select(_trims.c.tenant_id, _trims.c.through_seq))).all()
        trimmed = {row.tenant_id: row.through_seq for row in rows}
        return Bounds(max(head, *trimmed.values(), 0), trimmed)

    @property
    def shared(self) -> bool:
        """Whether other gateways may append to the same log."""
        return not self._database.is_sqlite

    @property
    def index(self) -> "EventStore":
        """Itself."""
        return self

    async def ready(self) -> bool:
        """Yes: the database is asked by itself."""
        return True

    async def run(self) -> None:
        """Nothing: what is appended is complete."""

    async def indexed(self) -> None:
        """Nothing to wait for: one transaction writes all."""

    @repeatable
    async def append(self, stamp: Stamp, followed: int) -> Written:
        """Store a batch in one transaction.

        Args:
            stamp: gives the batch's events their places, all after the one it is given.
            followed: up to where this process knows the log.
        """
        if self._shared is None:
            batch = stamp(0)
            return await self._database.write_on_sqlite(partial(single.append, batch=batch))
        async with self._database.driver() as driver:
            return await self._shared.append(driver, stamp, followed)

    def notices(self, heard: Callable[[], None]) -> AbstractAsyncContextManager[None]:
        """Call `heard`, within the block, when another gateway may have appended."""
        return self._database.notices(CHANNEL, heard, own=self._shared.name if self._shared is not None else "")

    async def after(self, place: int, limit: int) -> list[Appended]:
        """The events of all tenants after a place, in order, with what filters look at."""
        async with self._database.connection(ALL_TENANTS) as connection:
            return await appended_after(connection, place, limit)

    async def last(self, tenant: str, through: int) -> int:
        """The last place up to `through` at which the tenant had an event, or up to where they are deleted; 0: none."""
        kept = select(func.max(_events.c.seq)).where(_events.c.tenant_id == tenant, _events.c.seq <= through)
        gone = select(_trims.c.through_seq).where(_trims.c.tenant_id == tenant)
        # In one statement: what is deleted meanwhile is in the one or in the other.
        query = select(kept.scalar_subquery(), gone.scalar_subquery())
        async with self._database.connection(tenant) as connection:
            return max(place or 0 for place in (await connection.execute(query)).one())

    async def read(self, tenant: str, after: int, through: int, wanted: Filter, bounds: PageBounds) -> Reading:
        """The next events of the tenant in (after, through]."""
        if self._shared is None:
            page = partial(single.read, tenant=tenant, after=after, through=through, wanted=wanted, bounds=bounds)
            return Reading(await self._database.read_on_sqlite(page), {})
        async with self._database.connection(tenant) as connection:
            trimmed = await self._trimmed(connection, tenant)
            last = await _last_of_page(connection, tenant, after, through, wanted, bounds)
            if last is None:
                return Reading(Page((), through), trimmed)
            query = _where(select(_events.c.seq, _events.c.event), tenant, wanted)
            query = query.where(_events.c.seq > after, _events.c.seq <= last).order_by(_events.c.seq)
            return Reading(Page(_records((await connection.execute(query)).all()), last), trimmed)

    async def joined(self, tenant: str, after: int, through: int, wanted: Filter, bounds: PageBounds) -> JoinedReading:
        """The same as messages within bounds."""
        if self._shared is None:
            join = partial(single.join, tenant=tenant, after=after, through=through, wanted=wanted, bounds=bounds)
            return JoinedReading(await self._database.read_on_sqlite(join), {})
        page, trimmed = await self.read(tenant, after, through, wanted, READ_AHEAD)
        return JoinedReading(joined_of(page, bounds), trimmed)

    async def trimmed(self, tenant: str) -> dict[str, int]:
        """What other gateways have deleted by now."""
        if not self.shared:
            return {}
        async with self._database.connection(tenant) as connection:
            return await self._trimmed(connection, tenant)

    async def _trimmed(self, connection: AsyncConnection, tenant: str) -> dict[str, int]:
        """What other gateways have deleted, as of the same moment as what the transaction reads."""
        if not self.shared:
            return {}
        query = select(_trims.c.tenant_id, _trims.c.through_seq)
        if tenant != ALL_TENANTS:
            query = query.where(_trims.c.tenant_id == tenant)
        return {row.tenant_id: row.through_seq for row in await connection.execute(query)}

    async def by_seq(self, tenant: str, seqs: Sequence[int], wanted: Filter) -> list[Record]:
        """The tenant's events at these places, in order; those that are gone or not wanted are left out."""
        query = _where(select(_events.c.seq, _events.c.event), tenant, wanted)
        query = query.where(_events.c.seq.in_(seqs)).order_by(_events.c.seq)
        async with self._database.connection(tenant) as connection:
            return _records((await connection.execute(query)).all())

    async def newest(self) -> Newest | None:
        """The newest row; None where there is none."""
        query = select(_events.c.seq, _events.c.tenant_id, _events.c.event != b"").order_by(_events.c.seq.desc())
        async with self._database.connection(ALL_TENANTS) as connection:
            row = (await connection.execute(query.limit(1))).one_or_none()
        return Newest(*row) if row is not None else None

    async def tenants(self) -> list[str]:
        """The tenants that have events or episodes."""
        async with self._database.connection(ALL_TENANTS) as connection:
            found = [
                row.tenant for table in (_events, _episodes) for row in await connection.execute(_tenants_of(table))
            ]
        return sorted({tenant for tenant in found if tenant is not None})

    async def beyond(self, tenant: str, size_bytes: int) -> int:
        """The place up to which the tenant's events must go for the rest to be no larger; 0: none must."""
        newer = func.sum(_events.c.size_bytes).over(order_by=_events.c.seq.desc()).label("newer")
        sums = select(_events.c.seq, newer).where(_events.c.tenant_id == tenant).subquery()
        query = select(sums.c.seq).where(sums.c.newer > size_bytes).order_by(sums.c.seq.desc()).limit(1)
        async with self._database.connection(ALL_TENANTS) as connection:
            return (await connection.execute(query)).scalar() or 0

    async def trimmable(self, tenant: str, through: int) -> int | None:
        """Up to where the next `trim` may delete; None: nothing is left to delete up to this place."""
        doomed = _unneeded(tenant, through).order_by(_events.c.seq).limit(DELETED_AT_ONCE).subquery()
        async with self._database.connection(ALL_TENANTS) as connection:
            last: int | None = (await connection.execute(select(func.max(doomed.c.seq)))).scalar()
        return last

    @repeatable
    async def trim(self, through: dict[str, int]) -> int:
        """Delete the tenants' events up to these places. Returns how many."""
        deleted = 0
        async with self._database.across_tenants() as session:
            connection = await session.connection()
            for tenant, seq in sorted(through.items()):
                doomed = _events.delete().where(_events.c.seq.in_(_unneeded(tenant, seq)))
                deleted += (await connection.execute(doomed)).rowcount
                await connection.execute(self._add_trim, {"tenant_id": tenant, "through_seq": seq})
        return deleted

    @repeatable
    async def forget(self, tenant: str, through: int) -> int:
        """Delete some of the tenant's episodes that were last reported up to a place. Returns how many; 0: no more."""
        # A gateway of the release before states the first place alone.
        reported = (_episodes.c.reported_seq <= through) & (_episodes.c.recorded_seq <= through)
        oldest = select(_episodes.c.id).where(_episodes.c.tenant_id == tenant, reported)
        oldest = oldest.order_by(_episodes.c.reported_seq).limit(DELETED_AT_ONCE).with_for_update()
        async with self._database.across_tenants() as session:
            connection = await session.connection()
            ids = (await connection.execute(oldest)).scalars().all()
            doomed = _episodes.delete().where(_episodes.c.tenant_id == tenant, _episodes.c.id.in_(ids))
            return (await connection.execute(doomed)).rowcount if ids else 0


async def _last_of_page(
    connection: AsyncConnection, tenant: str, after: int, through: int, wanted: Filter, bounds: PageBounds
) -> int | None:
    """The last place in (after, through] whose event, with all before it, fits the bounds; None where there is none."""
    page = _where(select(_events.c.seq, _events.c.size_bytes), tenant, wanted)
    page = page.where(_events.c.seq > after, _events.c.seq <= through).order_by(_events.c.seq).limit(bounds.events)
    sizes = page.subquery()
    total, last = (await connection.execute(select(func.sum(sizes.c.size_bytes), func.max(sizes.c.seq)))).one()
    if total is None or total <= bounds.size_bytes:
        return last  # type: ignore[no-any-return]
    room = bounds.size_bytes
    fitting = None
    for seq, size_bytes in await connection.execute(page):
        room -= size_bytes
        # The first event counts whatever its size, or one that is too large would stop the reader for ever.
        if room < 0 and fitting is not None:
            break
        fitting = seq
    return fitting


def _where(query: "Select[Any]", tenant: str, wanted: Filter) -> "Select[Any]":
    if tenant != ALL_TENANTS:
        query = query.where(_events.c.tenant_id == tenant)
    for column, values in (
        (_events.c.type, wanted.types),
        (_events.c.agent_id, wanted.agents),
        (_events.c.skill_id, wanted.skills),
    ):
        if values:
            query = query.where(column.in_(values))
    return query


def _tenants_of(table: Table) -> "Select[Any]":
    """Each tenant found by one look into an index; and then a NULL."""
    line = select(func.min(table.c.tenant_id).label("tenant")).cte("line", recursive=True)
    further = select(func.min(table.c.tenant_id)).where(table.c.tenant_id > line.c.tenant)
    line = line.union_all(select(further.scalar_subquery()).where(line.c.tenant.is_not(None)))
    return select(line.c.tenant)


def _unneeded(tenant: str, through: int) -> "Select[Any]":
    """The tenant's events up to a place but for those that a group has not settled, or holds as dead letters."""
    deliveries, dead = DeliveryRow.__table__, DeadLetterRow.__table__
    kept = select(deliveries.c.seq).union(select(dead.c.seq))
    return select(_events.c.seq).where(
        _events.c.tenant_id == tenant, _events.c.seq <= through, _events.c.seq.not_in(kept)
    )


def _records(rows: Iterable[Any]) -> list[Record]:
    return [Record(seq, wire.sized(event)) for seq, event in rows]
