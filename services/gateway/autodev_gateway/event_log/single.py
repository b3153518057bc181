"""Appending and reading on where one gateway has the log to itself, on SQLite, in threads.

Rows go into statements of many rows each. Python's lock is let go while a statement runs and has to be won back after
it, from a thread that is busy with calls: once a row, that took longer than all the rest.
"""

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from itertools import chain
from typing import Any

from autodev_gateway import wire
from autodev_gateway.event_log.appending import Stamped, Written
from autodev_gateway.event_log.model import READ_AHEAD, Filter, Joined, Page, PageBounds, Record
from autodev_runtime.identity import ALL_TENANTS

ROWS = (256, 32, 4, 1)
"""How many rows a statement may have. Few kinds, so that each is compiled once and kept."""
KNOWN_IDS = 500

COLUMNS = "seq, size_bytes, event"
"""What a page is read of."""

_BYTES = bytes(range(256))
"""Every byte, of which SQLite takes those of an event's length: it has no function that makes one of a number."""


def _byte(number: str) -> str:
    return f"substr(?1, 1 + ({number}), 1)"


# The event as a field of its message: tag, length (see wire.varint), bytes.
_VARINT = (
    f"CASE WHEN size_bytes < 128 THEN {_byte('size_bytes')}"
    f" WHEN size_bytes < 16384 THEN {_byte('size_bytes & 127 | 128')} || {_byte('size_bytes >> 7')}"
    f" WHEN size_bytes < 2097152 THEN {_byte('size_bytes & 127 | 128')} || {_byte('size_bytes >> 7 & 127 | 128')}"
    f" || {_byte('size_bytes >> 14')} END"
)
_JOIN = (
    f"SELECT CAST(group_concat(x'{wire.FIRST_FIELD.hex()}' || ({_VARINT}) || event, '') AS BLOB),"
    " sum(1 + size_bytes + CASE WHEN size_bytes < 128 THEN 1 WHEN size_bytes < 16384 THEN 2 ELSE 3 END)"
)

_EVENT_COLUMNS = "seq, event_id, type, agent_id, skill_id, size_bytes, event, tenant_id"
_EPISODE_COLUMNS = "tenant_id, id, agent_id, outcome, recorded_seq, reported_seq, task"


def _statements(table: str, columns: str, conflict: str) -> dict[int, str]:
    row = f"({', '.join('?' * len(columns.split(',')))})"
    return {rows: f"INSERT INTO {table} ({columns}) VALUES {', '.join([row] * rows)} {conflict}" for rows in ROWS}


_ADD_EVENTS = _statements("events", _EVENT_COLUMNS, "ON CONFLICT (tenant_id, event_id) DO NOTHING")
_ADD_EPISODES = _statements(
    "episodes",
    _EPISODE_COLUMNS,
    "ON CONFLICT (tenant_id, id) DO UPDATE"
    " SET agent_id = excluded.agent_id, outcome = excluded.outcome, reported_seq = excluded.reported_seq,"
    " task = excluded.task",
)


def append(connection: sqlite3.Connection, batch: Sequence[Stamped]) -> Written:
    """Store a batch within the caller's transaction."""
    added = _insert(connection, _ADD_EVENTS, [_event_row(each) for each in batch])
    known = {} if added == len(batch) else _known_of(connection, batch)
    episodes = [_episode_row(each) for each in batch if each.episode is not None and _key(each) not in known]
    _insert(connection, _ADD_EPISODES, episodes)
    return Written(batch, known, ())


def read(
    connection: sqlite3.Connection, tenant: str, after: int, through: int, wanted: Filter, bounds: PageBounds
) -> Page:
    """The next events of the tenant in (after, through]; `*` is all of them."""
    query, parameters = page_query(tenant, after, through, wanted, bounds)
    records: list[Record] = []
    room = bounds.size_bytes
    for seq, size_bytes, event in connection.execute(query, parameters):
        # Not the length of what is here: the log in JetStream keeps the events themselves there.
        room -= size_bytes
        # The first event counts whatever its size, or one that is too large would stop the reader for ever.
        if room < 0 and records:
            break
        records.append(Record(seq, wire.sized(event)))
    return Page(records, records[-1].seq if records else through)


def join(
    connection: sqlite3.Connection, tenant: str, after: int, through: int, wanted: Filter, bounds: PageBounds
) -> list[Joined]:
    """The same as messages, which SQLite itself puts together: Python has work for each message, not for each event."""
    messages: list[Joined] = []
    events = size_bytes = 0
    while events < READ_AHEAD.events and size_bytes < READ_AHEAD.size_bytes:
        message = _message(connection, tenant, after, through, wanted, bounds)
        messages.append(message)
        after = message.through
        if after >= through or not message.events:
            break
        events += message.events
        size_bytes += len(message.body)
    return messages


def _message(
    connection: sqlite3.Connection, tenant: str, after: int, through: int, wanted: Filter, bounds: PageBounds
) -> Joined:
    query, parameters = page_query(tenant, after, through, wanted, bounds)
    sizes = query.replace(COLUMNS, "seq, size_bytes", 1)
    count, last, size_bytes = connection.execute(
        f"SELECT count(*), max(seq), sum(size_bytes) FROM ({sizes})", parameters
    ).fetchone()
    if count and size_bytes <= bounds.size_bytes:
        framed, length = connection.execute(f"{_JOIN} FROM ({query})", (_BYTES, *parameters)).fetchone()
        # A library that ends texts at a NUL would say otherwise.
        if len(framed) == length:
            return Joined(framed, last, count)
    page = read(connection, tenant, after, through, wanted, bounds)
    return Joined(wire.joined(record.sized for record in page.records), page.through, len(page.records))


def page_query(tenant: str, after: int, through: int, wanted: Filter, bounds: PageBounds) -> tuple[str, list[Any]]:
    """The query of a page, and its parameters."""
    # Said, and not left to the planner: the one is the table's own order, the other the tenant's.
    table = "events NOT INDEXED" if tenant == ALL_TENANTS else "events INDEXED BY events_by_tenant"
    conditions, parameters = ["seq > ?", "seq <= ?"], [after, through]
    stated: list[tuple[str, Collection[Any]]] = [
        ("tenant_id", () if tenant == ALL_TENANTS else (tenant,)),
        ("type", wanted.types),
        ("agent_id", wanted.agents),
        ("skill_id", wanted.skills),
    ]
    for column, values in stated:
        if values:
            conditions.append(f"{column} IN ({', '.join('?' * len(values))})")
            parameters += values
    query = f"SELECT {COLUMNS} FROM {table} WHERE {' AND '.join(conditions)} ORDER BY seq LIMIT ?"
    return query, [*parameters, bounds.events]


def _insert(connection: sqlite3.Connection, statements: dict[int, str], rows: Sequence[tuple[Any, ...]]) -> int:
    added = start = 0
    for count in _parts(len(rows)):
        parameters = tuple(chain.from_iterable(rows[start : start + count]))
        added += connection.execute(statements[count], parameters).rowcount
        start += count
    return added


def _parts(total: int) -> Iterator[int]:
    for rows in ROWS:
        while total >= rows:
            yield rows
            total -= rows


def _known_of(connection: sqlite3.Connection, batch: Sequence[Stamped]) -> dict[tuple[str, str], int]:
    """Of the batch's events, those whose id was there before, with their places."""
    seqs = {_key(each): each.appended.record.seq for each in batch}
    known: dict[tuple[str, str], int] = {}
    for start in range(0, len(batch), KNOWN_IDS):
        keys = [_key(each) for each in batch[start : start + KNOWN_IDS]]
        found = connection.execute(
            "SELECT tenant_id, event_id, seq FROM events WHERE (tenant_id, event_id) IN"
            f" (VALUES {', '.join(['(?, ?)'] * len(keys))})",
            tuple(chain.from_iterable(keys)),
        )
        known |= {(tenant, event_id): seq for tenant, event_id, seq in found if seq != seqs[tenant, event_id]}
    return known


def _key(stamped: Stamped) -> tuple[str, str]:
    return stamped.appended.tenant, stamped.event_id


def _event_row(stamped: Stamped) -> tuple[Any, ...]:
    record, tenant, kind, agent_id, skill_id = stamped.appended
    return record.seq, stamped.event_id, kind, agent_id, skill_id, *stamped.stored, tenant


def _episode_row(stamped: Stamped) -> tuple[Any, ...]:
    tenant, seq, episode = stamped.appended.tenant, stamped.appended.record.seq, stamped.episode
    assert episode is not None
    return tenant, episode.episode_id, episode.agent_id, episode.outcome, seq, seq, episode.task
