"""Pages of the log where one gateway has it to itself."""

import sqlite3
from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine, insert

from autodev_gateway.event_log import single
from autodev_gateway.event_log.model import ALL_EVENTS, PageBounds
from autodev_gateway.rows import Base, EventRow

SIZE_BYTES = 600


@pytest.fixture
def events_kept_elsewhere() -> Iterator[sqlite3.Connection]:
    """Three events of which only the sizes are here, as with the log in JetStream."""
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        for seq in (1, 2, 3):
            row = {"seq": seq, "event_id": str(seq), "tenant_id": "acme", "type": 1, "agent_id": "", "skill_id": ""}
            connection.execute(insert(EventRow).values(**row, size_bytes=SIZE_BYTES, event=b""))
        raw = connection.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection)
        yield raw


@pytest.mark.parametrize(("room_bytes", "found"), [(1, [1]), (SIZE_BYTES, [1]), (2 * SIZE_BYTES, [1, 2])])
def test_a_page_is_bounded_by_the_events_sizes_wherever_they_are(
    events_kept_elsewhere: sqlite3.Connection, room_bytes: int, found: list[int]
) -> None:
    page = single.read(events_kept_elsewhere, "acme", 0, 3, ALL_EVENTS, PageBounds(10, room_bytes))
    assert [record.seq for record in page.records] == found
    assert page.through == found[-1]
