"""Messages that SQLite puts together itself are those that Python would make."""

import sqlite3
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects.sqlite import dialect
from sqlalchemy.schema import CreateIndex, CreateTable

from autodev_gateway import wire
from autodev_gateway.event_log import single
from autodev_gateway.event_log.model import ALL_EVENTS, Filter, PageBounds, Record, joined_of
from autodev_gateway.rows import EventRow
from autodev_runtime.identity import ALL_TENANTS

# About the lengths at which a length takes one byte more, and any bytes at all.
BODIES = st.one_of(
    st.binary(max_size=200),
    st.sampled_from([127, 128, 16383, 16384, 70000]).map(lambda size: bytes(number % 256 for number in range(size))),
    st.just(b"\0"),
)
EVENTS = st.lists(st.tuples(st.sampled_from(["acme", "globex"]), st.integers(20, 22), BODIES), max_size=12)


def log(events: list[tuple[str, int, bytes]]) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    table: Any = EventRow.__table__
    statements: list[Any] = [CreateTable(table), *map(CreateIndex, sorted(table.indexes, key=str))]
    for each in statements:
        connection.execute(str(each.compile(dialect=dialect())))
    for seq, (tenant, kind, body) in enumerate(events, 1):
        row = (seq, f"id-{seq}", kind, "agent", "", len(body), body, tenant)
        connection.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
    return connection


@given(
    events=EVENTS,
    tenant=st.sampled_from(["acme", "globex", ALL_TENANTS]),
    kinds=st.frozensets(st.integers(20, 22)),
    span=st.tuples(st.integers(0, 12), st.integers(0, 13)),
    bounds=st.builds(PageBounds, st.integers(1, 5), st.sampled_from([100, 1000, 1 << 20])),
)
def test_what_sqlite_joins_is_what_python_joins(
    events: list[tuple[str, int, bytes]],
    tenant: str,
    kinds: frozenset[int],
    span: tuple[int, int],
    bounds: PageBounds,
) -> None:
    after, through = span[0], max(span)
    wanted = Filter(kinds) if kinds else ALL_EVENTS
    connection = log(events)
    messages = single.join(connection, tenant, after, through, wanted, bounds)
    passing = [
        Record(seq, wire.sized(body))
        for seq, (owner, kind, body) in enumerate(events, 1)
        if after < seq <= through and tenant in (owner, ALL_TENANTS) and (not kinds or kind in kinds)
    ]
    assert b"".join(each.body for each in messages) == wire.joined(each.sized for each in passing)
    assert sum(each.events for each in messages) == len(passing)
    assert messages[-1].through >= (passing[-1].seq if passing else through)
    sizes = {each.seq: len(each.sized) for each in passing}
    place = after
    for message in messages:
        within = [size for seq, size in sizes.items() if place < seq <= message.through]
        assert message.events == len(within) <= bounds.events
        # An event that is larger than a message may be goes alone; lengths are not counted.
        assert message.events <= 1 or sum(within) - 3 * len(within) <= bounds.size_bytes
        place = message.through
    connection.close()


def test_a_page_splits_into_messages_of_every_event() -> None:
    page = single.read(log([("acme", 22, b"x" * 10)] * 7), "acme", 0, 9, ALL_EVENTS, PageBounds(7))
    messages = joined_of(page, PageBounds(3))
    assert [(each.events, each.through) for each in messages] == [(3, 3), (3, 6), (1, 7)]


def test_this_library_needs_no_help_from_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(single, "read", None)
    body = bytes(range(256)) * 2
    (message,) = single.join(log([("acme", 22, body)] * 7), "acme", 0, 7, ALL_EVENTS, PageBounds(7))
    assert message.body == wire.joined([wire.sized(body)] * 7)
