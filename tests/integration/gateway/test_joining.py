"""Messages that the database puts together are those that Python makes of its rows."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from autodev_gateway import wire
from autodev_gateway.event_log import ALL_EVENTS, Draft, EventLog, LogOptions, PageBounds
from autodev_gateway.event_log.model import READ_AHEAD, Filter
from autodev_gateway.event_log.store import EventStore
from autodev_runtime.identity import ALL_TENANTS
from autodev_runtime.migrations import upgrade
from tests.storage import Storage, Storages

EVENT = st.tuples(
    st.sampled_from(("acme", "globex")),
    st.sampled_from((20, 21)),
    st.sampled_from((0, 1, 126, 127, 128, 129, 300, 16_382, 16_383, 16_384, 16_385)),
)
BOUNDS = st.builds(PageBounds, st.integers(1, 5), st.sampled_from((1, 200, 20_000, 10**6)))
EVERYTHING = PageBounds(10_000, 10**9)


@contextlib.asynccontextmanager
async def stored(storage: Storage, events: Sequence[tuple[str, int, int]]) -> AsyncIterator[tuple[EventStore, int]]:
    """The engine with events of these tenants, types and sizes, and the log's last place."""
    async with storage.open("gateway") as database:
        await upgrade(database, "autodev_gateway")
        store = EventStore(database)
        log = await EventLog.open(store, LogOptions(tail_bytes=0))
        running = asyncio.create_task(log.run())
        drafts = [
            Draft(tenant, f"{number:036d}", kind, "ada", "", bytes([number % 251]) * size)
            for number, (tenant, kind, size) in enumerate(events)
        ]
        places = await log.append(drafts) if drafts else [0]
        yield store, max(places)
        running.cancel()
        await asyncio.wait([running])


@given(st.lists(EVENT, max_size=25), st.sampled_from(("acme", ALL_TENANTS)), st.sampled_from(((), (21,))), BOUNDS)
@settings(max_examples=25)
def test_messages_are_the_wanted_events_in_order_within_bounds(
    storages: Storages,
    events: list[tuple[str, int, int]],
    tenant: str,
    types: tuple[int, ...],
    bounds: PageBounds,
) -> None:
    wanted = Filter(types=frozenset(types)) if types else ALL_EVENTS

    async def run(storage: Storage) -> None:
        async with stored(storage, events) as (store, last):
            page = (await store.read(tenant, 0, last, wanted, EVERYTHING)).page
            messages = (await store.joined(tenant, 0, last, wanted, bounds)).messages
            assert b"".join(each.body for each in messages) == wire.joined(each.sized for each in page.records)
            assert max([each.seq for each in page.records], default=0) <= messages[-1].through <= last
            place = 0
            for message in messages:
                within = [each for each in page.records if place < each.seq <= message.through]
                size_bytes = sum(len(wire.unsized(each.sized)) for each in within)
                assert len(within) == message.events <= bounds.events
                assert message.events <= 1 or size_bytes <= bounds.size_bytes + 3 * message.events
                place = message.through

    with tempfile.TemporaryDirectory() as directory, storages.new(Path(directory)) as storage:
        asyncio.run(run(storage))


def test_no_more_is_read_at_once_than_is_read_ahead(storages: Storages) -> None:
    async def run(storage: Storage) -> None:
        async with stored(storage, [("acme", 20, 10)] * (READ_AHEAD.events + 50)) as (store, last):
            first = (await store.joined("acme", 0, last, ALL_EVENTS, PageBounds(256, 10**6))).messages
            assert sum(each.events for each in first) == READ_AHEAD.events
            assert first[-1].through < last
            rest = (await store.joined("acme", first[-1].through, last, ALL_EVENTS, PageBounds(256, 10**6))).messages
            assert [each.events for each in rest] == [50]
            assert rest[-1].through == last

    with tempfile.TemporaryDirectory() as directory, storages.new(Path(directory)) as storage:
        asyncio.run(run(storage))


def test_large_events_are_read_ahead_by_their_size(storages: Storages) -> None:
    async def run(storage: Storage) -> None:
        async with stored(storage, [("acme", 20, 300_000)] * 20) as (store, last):
            messages = (await store.joined("acme", 0, last, ALL_EVENTS, PageBounds(256, 10**6))).messages
            assert all(each.events == 3 for each in messages[:-1])
            assert 3 <= sum(each.events for each in messages) <= READ_AHEAD.size_bytes // 300_000 + 3

    with tempfile.TemporaryDirectory() as directory, storages.new(Path(directory)) as storage:
        asyncio.run(run(storage))
