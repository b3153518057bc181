"""The SQL of consumer groups."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Table, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from autodev_gateway.event_log import Filter
from autodev_gateway.groups.ledger import Changes, Entry
from autodev_gateway.rows import DeadLetterRow, DeliveryRow, GroupRow
from autodev_runtime.claims import Claims
from autodev_runtime.columns import conflicting_insert
from autodev_runtime.database import Database
from autodev_runtime.repeating import repeatable

_groups: Table = GroupRow.__table__  # type: ignore[assignment]
_deliveries: Table = DeliveryRow.__table__  # type: ignore[assignment]
_dead: Table = DeadLetterRow.__table__  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class GroupKey:
    """A group's name, unique in its tenant. The tenant `*` has groups of its own."""

    tenant: str
    name: str


@dataclass(frozen=True, slots=True)
class StoredGroup:
    """A group as the database has it."""

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


class GroupStore:
    """The tables `consumer_groups`, `deliveries` and `dead_letters`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        conflicting = conflicting_insert("sqlite" if database.is_sqlite else "postgresql")
        self._save_entry = _saving(conflicting(_deliveries), "attempts", "failures", "error")
        # A commit whose answer was lost is done again.
        self._save_dead = _saving(conflicting(_dead), "attempts", "error", "dead_us")

    def claims(self, lost: Callable[[], None]) -> Claims:
        """What this gateway alone serves, where several share the database."""
        return Claims(self._database, lost)

    async def exists(self, key: GroupKey) -> bool:
        """Whether the group is there."""
        async with self._database.connection(key.tenant) as connection:
            return (await connection.execute(select(1).where(*_is_group(key)))).scalar_one_or_none() is not None

    async def load(self, key: GroupKey) -> StoredGroup | None:
        """The group; None when there is none."""
        async with self._database.connection(key.tenant) as connection:
            found = select(_groups.c.position, _groups.c.filter).where(*_is_group(key))
            row = (await connection.execute(found)).one_or_none()
            if row is None:
                return None
            unsettled = select(_deliveries.c.seq, _deliveries.c.attempts, _deliveries.c.failures, _deliveries.c.error)
            rows = await connection.execute(unsettled.where(*_of_group(_deliveries, key)))
            entries = [Entry(*row) for row in rows]
        return StoredGroup(row.position, _filter_from(row.filter), entries)

    async def count(self, tenant: str) -> int:
        """How many groups the tenant has."""
        async with self._database.connection(tenant) as connection:
            query = select(func.count()).select_from(_groups).where(_groups.c.tenant_id == tenant)
            return (await connection.execute(query)).scalar_one()

    @repeatable
    async def create(self, key: GroupKey, position: int, wanted: Filter) -> None:
        """Store a group that was not there."""
        row = {"tenant_id": key.tenant, "name": key.name, "position": position, "filter": _filter_text(wanted)}
        async with self._database.across_tenants() as session:
            await session.execute(insert(_groups), [row])

    @repeatable
    async def set_filter(self, key: GroupKey, wanted: Filter) -> None:
        """Store another filter."""
        async with self._database.across_tenants() as session:
            await session.execute(update(_groups).where(*_is_group(key)).values(filter=_filter_text(wanted)))

    @repeatable
    async def save(self, changes: Sequence[tuple[GroupKey, Changes]]) -> None:
        """Store what changed in several groups, in one transaction."""
        entries = [{**_key_columns(key), **asdict(entry)} for key, each in changes for entry in each.entries]
        dead_us = time.time_ns() // 1000
        dead = [
            {**_key_columns(key), **letter._asdict(), "dead_us": dead_us}
            for key, each in changes
            for letter in each.dead
        ]
        positions = [(key, each.position) for key, each in changes]
        settled = [(key, each.settled) for key, each in changes if each.settled]
        async with self._database.across_tenants() as session:
            connection = await session.connection()
            for key, position in positions:
                await connection.execute(update(_groups).where(*_is_group(key)).values(position=position))
            if entries:
                await connection.execute(self._save_entry, entries)
            for key, seqs in settled:
                await _delete(connection, _deliveries, key, seqs)
            if dead:
                await connection.execute(self._save_dead, dead)

    async def dead_letters(self, key: GroupKey, after: int, limit: int) -> list[StoredDeadLetter]:
        """The group's dead letters after a place, in the order of the log."""
        query = select(_dead.c.seq, _dead.c.attempts, _dead.c.error, _dead.c.dead_us)
        query = query.where(*_of_group(_dead, key), _dead.c.seq > after).order_by(_dead.c.seq).limit(limit)
        async with self._database.connection(key.tenant) as connection:
            return [StoredDeadLetter(*row) for row in await connection.execute(query)]

    @repeatable
    async def revive(self, key: GroupKey, seqs: Sequence[int] | None) -> list[int]:
        """Make dead letters deliveries again: these, or all. Returns which were there."""
        chosen = select(_dead.c.seq).where(*_of_group(_dead, key))
        if seqs is not None:
            chosen = chosen.where(_dead.c.seq.in_(seqs))
        async with self._database.across_tenants() as session:
            connection = await session.connection()
            found = list((await connection.execute(chosen.order_by(_dead.c.seq))).scalars())
            if found:
                rows = [{**_key_columns(key), "seq": seq, "attempts": 0, "failures": 0, "error": ""} for seq in found]
                await connection.execute(self._save_entry, rows)
                await _delete(connection, _dead, key, found)
        return found


def _saving(inserting: Any, *latest: str) -> Any:
    """The insertion of events of groups, where those that are there take these columns."""
    columns = {name: inserting.excluded[name] for name in latest}
    return inserting.on_conflict_do_update(index_elements=["tenant_id", "group_name", "seq"], set_=columns)


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


def _filter_text(wanted: Filter) -> str:
    return json.dumps({"types": sorted(wanted.types), "agents": sorted(wanted.agents), "skills": sorted(wanted.skills)})


def _filter_from(text: str) -> Filter:
    stored = json.loads(text)
    return Filter(frozenset(stored["types"]), frozenset(stored["agents"]), frozenset(stored["skills"]))
