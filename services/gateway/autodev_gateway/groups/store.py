"""The SQL of consumer groups.

A gateway that has lost its claim to a group may not know it yet. So each writes under its term, which ends with the
next one's: who comes with an earlier term has written nothing.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Table, delete, func, insert, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from autodev_gateway.event_log import Filter
from autodev_gateway.groups.ledger import Changes, Entry
from autodev_gateway.rows import DeadLetterRow, DeliveryRow, GroupRow
from autodev_runtime.claims import Claims
from autodev_runtime.columns import conflicting_insert
from autodev_runtime.database import Database
from autodev_runtime.errors import Unavailable
from autodev_runtime.identity import ALL_TENANTS
from autodev_runtime.repeating import repeatable
from autodev_sdk.ending import Patience

_groups: Table = GroupRow.__table__  # type: ignore[assignment]
_deliveries: Table = DeliveryRow.__table__  # type: ignore[assignment]
_dead: Table = DeadLetterRow.__table__  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class GroupKey:
    """A group's name, unique in its tenant. The tenant `*` has groups of its own."""

    tenant: str
    name: str


@dataclass(frozen=True, slots=True)
class Tenure:
    """A group as one gateway serves it, until another begins to."""

    key: GroupKey
    term: int


class ServedElsewhere(Unavailable):
    """Another gateway has begun to serve the group, or may do so."""

    def __init__(self) -> None:
        super().__init__("another gateway may serve this group now; join it again", reason="GROUP_ELSEWHERE")


class Refused(Exception):
    """Some of the rows that are to be stored are none to the database, and none of them is stored."""


@dataclass(frozen=True, slots=True)
class StoredGroup:
    """A group as the database has it."""

    term: int
    position: int
    wanted: Filter
    entries: Sequence[Entry]


@dataclass(frozen=True, slots=True)
class StoredDeadLetter:
    """An event, by its place, that was tried too often."""

    seq: int
    attempts: int
    error: str
    dead_us: int


@dataclass(frozen=True, slots=True)
class ListedGroup:
    """A group as who looks after it sees it."""

    name: str
    position: int
    wanted: Filter
    unsettled: int
    dead: int


class GroupStore:
    """The tables `consumer_groups`, `deliveries` and `dead_letters`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        conflicting = conflicting_insert("sqlite" if database.is_sqlite else "postgresql")
        self._save_entry = _saving(conflicting(_deliveries), "attempts", "failures", "error")
        # A commit whose answer was lost is done again.
        self._save_dead = _saving(conflicting(_dead), "attempts", "error", "dead_us")

    @property
    def patience(self) -> Patience:
        """With the database, while the gateway ends."""
        return self._database.patience

    def claims(self, lost: Callable[[], None]) -> Claims:
        """What this gateway alone serves, where several share the database."""
        return Claims(self._database, lost)

    async def exists(self, key: GroupKey) -> bool:
        """Whether the group is there."""
        async with self._database.connection(key.tenant) as connection:
            return (await connection.execute(select(1).where(*_is_group(key)))).scalar_one_or_none() is not None

    @repeatable
    async def take_over(self, key: GroupKey) -> StoredGroup | None:
        """Begin a term of the group, and with it end the one before; None when there is no such group."""
        begun = update(_groups).where(*_is_group(key)).values(term=_groups.c.term + 1)
        async with self._database.across_tenants() as session:
            connection = await session.connection()
            # Waits for what is being written under the term before, which is then read here.
            begun = begun.returning(_groups.c.term, _groups.c.position, _groups.c.filter)
            row = (await connection.execute(begun)).one_or_none()
            if row is None:
                return None
            unsettled = select(_deliveries.c.seq, _deliveries.c.attempts, _deliveries.c.failures, _deliveries.c.error)
            rows = await connection.execute(unsettled.where(*_of_group(_deliveries, key)))
            entries = [Entry(*row) for row in rows]
        return StoredGroup(row.term, row.position, _filter_from(row.filter), entries)

    async def count(self, tenant: str) -> int:
        """How many groups the tenant has."""
        async with self._database.connection(tenant) as connection:
            query = select(func.count()).select_from(_groups).where(_groups.c.tenant_id == tenant)
            return (await connection.execute(query)).scalar_one()

    async def positions(self) -> dict[str, int]:
        """How far the groups are stored that work for all tenants, by their names."""
        query = select(_groups.c.name, _groups.c.position).where(_groups.c.tenant_id == ALL_TENANTS)
        async with self._database.connection(ALL_TENANTS) as connection:
            return {row.name: row.position for row in await connection.execute(query)}

    async def listed(self, tenant: str, after: str, limit: int) -> list[ListedGroup]:
        """The tenant's own groups after a name, by name."""

        def counted(table: Table) -> Any:
            theirs = table.c.tenant_id == _groups.c.tenant_id, table.c.group_name == _groups.c.name
            return select(func.count()).select_from(table).where(*theirs).scalar_subquery()

        query = select(_groups.c.name, _groups.c.position, _groups.c.filter, counted(_deliveries), counted(_dead))
        query = query.where(_groups.c.tenant_id == tenant, _groups.c.name > after).order_by(_groups.c.name).limit(limit)
        async with self._database.connection(tenant) as connection:
            return [
                ListedGroup(name, position, _filter_from(wanted), unsettled, dead)
                for name, position, wanted, unsettled, dead in await connection.execute(query)
            ]

    @repeatable
    async def create(self, key: GroupKey, position: int, wanted: Filter) -> Tenure:
        """Store a group that was not there. Returns its first term, which no group of that name had before."""
        tenure = Tenure(key, time.time_ns() // 1000)
        row = {**_group_columns(tenure), "position": position, "filter": _filter_text(wanted)}
        async with self._database.across_tenants() as session:
            await session.execute(insert(_groups), [row])
        return tenure

    @repeatable
    async def delete(self, key: GroupKey) -> None:
        """Delete a group and all that is stored of it. A gateway that still serves it stores nothing of it any more."""
        async with self._database.session(key.tenant) as session:
            connection = await session.connection()
            # First, as `save` has it: who waits for it finds the term over.
            await connection.execute(delete(_groups).where(*_is_group(key)))
            for table in (_deliveries, _dead):
                await connection.execute(delete(table).where(*_of_group(table, key)))

    @repeatable
    async def set_filter(self, tenure: Tenure, wanted: Filter) -> None:
        """Store another filter. Raises ServedElsewhere."""
        async with self._database.across_tenants() as session:
            if not await _set(await session.connection(), tenure, filter=_filter_text(wanted)):
                raise ServedElsewhere

    async def save(self, changes: Mapping[Tenure, Changes]) -> list[Tenure]:
        """Store what changed in several groups, in one transaction. Returns whose term is over: nothing of theirs.

        Raises Refused, Unavailable.
        """
        try:
            return await self._saved(changes)
        except SQLAlchemyError as error:
            raise Refused(str(error)) from error

    @repeatable
    async def _saved(self, changes: Mapping[Tenure, Changes]) -> list[Tenure]:
        over: list[Tenure] = []
        async with self._database.across_tenants() as session:
            connection = await session.connection()
            for tenure, each in changes.items():
                if not await _set(connection, tenure, position=each.position):
                    over.append(tenure)
            await self._save(connection, [(tenure.key, each) for tenure, each in changes.items() if tenure not in over])
        return over

    async def _save(self, connection: AsyncConnection, changes: Sequence[tuple[GroupKey, Changes]]) -> None:
        entries = [{**_key_columns(key), **asdict(entry)} for key, each in changes for entry in each.entries]
        dead_us = time.time_ns() // 1000
        dead = [
            {**_key_columns(key), **letter._asdict(), "dead_us": dead_us}
            for key, each in changes
            for letter in each.dead
        ]
        if entries:
            await connection.execute(self._save_entry, entries)
        for key, each in changes:
            await _delete(connection, _deliveries, key, each.settled)
            await _delete(connection, _dead, key, each.readmitted)
        if dead:
            await connection.execute(self._save_dead, dead)

    async def dead_letters(self, key: GroupKey, after: int, limit: int) -> list[StoredDeadLetter]:
        """The group's dead letters after a place that nobody replays, in the order of the log."""
        query = select(_dead.c.seq, _dead.c.attempts, _dead.c.error, _dead.c.dead_us)
        query = query.where(*_of_group(_dead, key), ~_dead.c.replaying, _dead.c.seq > after)
        query = query.order_by(_dead.c.seq).limit(limit)
        async with self._database.connection(key.tenant) as connection:
            return [StoredDeadLetter(*row) for row in await connection.execute(query)]

    @repeatable
    async def replay(self, key: GroupKey, seqs: Sequence[int] | None) -> int:
        """Have whoever serves the group deliver dead letters again: these, or all. Returns how many there were."""
        return await self._change_dead(update(_dead).values(replaying=True), key, seqs)

    @repeatable
    async def discard(self, key: GroupKey, seqs: Sequence[int] | None) -> int:
        """Forget dead letters that nobody replays: these, or all. Returns how many there were."""
        return await self._change_dead(delete(_dead), key, seqs)

    async def _change_dead(self, change: Any, key: GroupKey, seqs: Sequence[int] | None) -> int:
        change = change.where(*_of_group(_dead, key), ~_dead.c.replaying)
        if seqs is not None:
            change = change.where(_dead.c.seq.in_(seqs))
        of_all = key.tenant == ALL_TENANTS
        async with self._database.across_tenants() if of_all else self._database.session(key.tenant) as session:
            return (await (await session.connection()).execute(change)).rowcount

    async def with_replays(self) -> list[GroupKey]:
        """The groups that have dead letters to deliver again."""
        query = select(_dead.c.tenant_id, _dead.c.group_name).where(_dead.c.replaying).distinct()
        async with self._database.connection(ALL_TENANTS) as connection:
            return [GroupKey(*row) for row in await connection.execute(query)]

    async def replays(self, key: GroupKey, limit: int) -> list[int]:
        """The places of the group's dead letters to deliver again, in the order of the log."""
        query = select(_dead.c.seq).where(*_of_group(_dead, key), _dead.c.replaying).order_by(_dead.c.seq).limit(limit)
        async with self._database.connection(key.tenant) as connection:
            return list((await connection.execute(query)).scalars())


def _saving(inserting: Any, *latest: str) -> Any:
    """The insertion of events of groups, where those that are there take these columns."""
    columns = {name: inserting.excluded[name] for name in latest}
    return inserting.on_conflict_do_update(index_elements=["tenant_id", "group_name", "seq"], set_=columns)


async def _set(connection: AsyncConnection, tenure: Tenure, **columns: Any) -> bool:
    """Change a group's row, which nobody else does until this is committed. Returns False where the term is over."""
    theirs = update(_groups).where(*_is_group(tenure.key), _groups.c.term == tenure.term)
    return (await connection.execute(theirs.values(columns))).rowcount == 1


async def _delete(connection: AsyncConnection, table: Table, key: GroupKey, seqs: Sequence[int]) -> None:
    for start in range(0, len(seqs), 1000):
        part = seqs[start : start + 1000]
        await connection.execute(delete(table).where(*_of_group(table, key), table.c.seq.in_(part)))


def _is_group(key: GroupKey) -> tuple[Any, Any]:
    return _groups.c.tenant_id == key.tenant, _groups.c.name == key.name


def _of_group(table: Table, key: GroupKey) -> tuple[Any, Any]:
    return table.c.tenant_id == key.tenant, table.c.group_name == key.name


def _key_columns(key: GroupKey) -> dict[str, str]:
    return {"tenant_id": key.tenant, "group_name": key.name}


def _group_columns(tenure: Tenure) -> dict[str, Any]:
    return {"tenant_id": tenure.key.tenant, "name": tenure.key.name, "term": tenure.term}


def _filter_text(wanted: Filter) -> str:
    return json.dumps({"types": sorted(wanted.types), "agents": sorted(wanted.agents), "skills": sorted(wanted.skills)})


def _filter_from(text: str) -> Filter:
    stored = json.loads(text)
    return Filter(frozenset(stored["types"]), frozenset(stored["agents"]), frozenset(stored["skills"]))
