"""Events that are written with the rows, and published after them."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import timedelta

import pytest
import pytest_asyncio
from sqlalchemy import func, select, update
from sqlalchemy.orm import DeclarativeBase

from autodev.gateway.v1.event_pb2 import Event, GuidanceIssued
from autodev_runtime import outbox as outbox_module
from autodev_runtime.columns import now
from autodev_runtime.database import Database
from autodev_runtime.errors import InvalidArgument, Unavailable
from autodev_runtime.outbox import Outbox, Publish
from autodev_runtime.tracing import new_trace, tracing_as
from autodev_sdk.events import make_event
from tests.storage import Storage

DEADLINE_S = 10.0


class Base(DeclarativeBase):
    """Base of the tests' tables."""


class OutboxRow(outbox_module.OutboxRow, Base):
    """Events written and not yet published."""


class Log:
    """An event log: drops ids that it has, as the real one does; refuses what it is told to."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.calls = 0
        self.refuses: set[str] = set()
        self.fail_once: list[Exception] = []
        self.lose_answer_once = False

    async def publish(self, events: Sequence[Event]) -> None:
        self.calls += 1
        if self.fail_once:
            raise self.fail_once.pop()
        if self.refuses & {event.id for event in events}:
            raise InvalidArgument.field("events", "is refused")
        known = {event.id for event in self.events}
        self.events += [event for event in events if event.id not in known]
        if self.lose_answer_once:
            self.lose_answer_once = False
            raise asyncio.CancelledError

    @property
    def ids(self) -> list[str]:
        return [event.id for event in self.events]


@pytest_asyncio.fixture
async def database(storage: Storage) -> AsyncIterator[Database]:
    async with storage.holding(Base.metadata) as opened:
        yield opened


@pytest.fixture
def outbox(database: Database) -> Outbox:
    return Outbox(database, OutboxRow)


@pytest.fixture
def log() -> Log:
    return Log()


def some_event(text: str = "rest") -> Event:
    return make_event(GuidanceIssued(guidance=text), agent_id="ada")


async def add(database: Database, outbox: Outbox, *events: Event, tenant: str = "acme") -> None:
    async with database.session(tenant) as session:
        outbox.add(session, *events)


async def waiting(database: Database) -> int:
    async with database.across_tenants() as session:
        return await session.scalar(select(func.count()).select_from(OutboxRow)) or 0


@contextlib.asynccontextmanager
async def relaying(outbox: Outbox, publish: Publish) -> AsyncIterator[None]:
    task = asyncio.ensure_future(outbox.relay(publish))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait until it holds; fail at the deadline."""
    deadline_s = time.monotonic() + DEADLINE_S
    while not await holds():
        assert time.monotonic() < deadline_s, f"still not so after {DEADLINE_S} s"
        await asyncio.sleep(0.005)


async def emptied(database: Database) -> None:
    async def nothing_waits() -> bool:
        return await waiting(database) == 0

    await eventually(nothing_waits)


async def test_what_is_written_is_published_in_order_with_its_tenant_and_trace(
    database: Database, outbox: Outbox, log: Log
) -> None:
    trace = new_trace()
    events = [some_event() for _ in range(5)]
    async with relaying(outbox, log.publish):
        with tracing_as(trace):
            await add(database, outbox, *events[:3])
        await add(database, outbox, *events[3:], tenant="globex")
        await emptied(database)
    assert log.ids == [event.id for event in events]
    assert [event.tenant_id for event in log.events] == ["acme"] * 3 + ["globex"] * 2
    assert [event.traceparent for event in log.events] == [trace.traceparent] * 3 + [""] * 2


async def test_the_order_is_that_of_the_transactions_whatever_ids_and_clocks_say(
    database: Database, outbox: Outbox, log: Log
) -> None:
    events = [some_event() for _ in range(4)][::-1]
    await add(database, outbox, *events[:2])
    async with database.across_tenants() as session:
        await session.execute(update(OutboxRow).values(created_at=now() + timedelta(hours=1)))
    await add(database, outbox, *events[2:])
    async with relaying(outbox, log.publish):
        await emptied(database)
    assert log.ids == [event.id for event in events]


async def test_a_relay_that_is_late_reorders_nothing_that_another_publishes(
    database: Database, outbox: Outbox, log: Log
) -> None:
    written = [some_event() for _ in range(4)]
    arrived, going_on = asyncio.Event(), asyncio.Event()

    async def publish_late(events: Sequence[Event]) -> None:
        arrived.set()
        await going_on.wait()
        await log.publish(events)

    await add(database, outbox, *written[:2])
    async with relaying(Outbox(database, OutboxRow), publish_late), asyncio.timeout(DEADLINE_S):
        await arrived.wait()
        await add(database, outbox, *written[2:])
        async with relaying(outbox, log.publish):
            await emptied(database)
        going_on.set()
        while log.calls < 2:  # noqa: ASYNC110 -- a log tells nobody
            await asyncio.sleep(0.005)
    assert log.ids == [event.id for event in written]


async def test_a_new_event_wakes_the_relay_at_once(
    database: Database, outbox: Outbox, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "POLL_S", 3600)
    async with relaying(outbox, log.publish):
        for count in range(1, 4):
            await add(database, outbox, some_event())
            await emptied(database)
            assert len(log.events) == count


async def test_what_is_rolled_back_is_never_published(database: Database, outbox: Outbox, log: Log) -> None:
    async def change_ones_mind() -> None:
        async with database.session("acme") as session:
            outbox.add(session, some_event())
            await session.flush()
            raise RuntimeError("changed my mind")

    with pytest.raises(RuntimeError, match="changed my mind"):
        await change_ones_mind()
    kept = some_event()
    await add(database, outbox, kept)
    async with relaying(outbox, log.publish):
        await emptied(database)
    assert log.ids == [kept.id]


async def test_what_was_written_before_a_start_is_published_after_it(
    database: Database, outbox: Outbox, log: Log
) -> None:
    event = some_event()
    await add(database, outbox, event)
    async with relaying(Outbox(database, OutboxRow), log.publish):
        await emptied(database)
    assert log.ids == [event.id]


async def test_a_crash_between_publishing_and_deleting_loses_nothing_and_repeats_nothing(
    database: Database, outbox: Outbox, log: Log
) -> None:
    events = [some_event() for _ in range(3)]
    await add(database, outbox, *events)
    log.lose_answer_once = True
    with pytest.raises(asyncio.CancelledError):
        await outbox.relay(log.publish)
    assert (len(log.events), await waiting(database)) == (3, 3)
    async with relaying(Outbox(database, OutboxRow), log.publish):
        await emptied(database)
    assert log.ids == [event.id for event in events]
    assert log.calls == 2


async def test_a_log_that_is_away_is_waited_for(database: Database, outbox: Outbox, log: Log) -> None:
    event = some_event()
    await add(database, outbox, event)
    log.fail_once = [Unavailable("away")]
    async with relaying(outbox, log.publish):
        await emptied(database)
    assert log.ids == [event.id]


async def test_how_long_the_oldest_event_has_waited_is_measured(
    database: Database, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "POLL_S", 0.01)
    minute, tries, seen = timedelta(minutes=1), 0, asyncio.Event()
    await add(database, outbox, some_event())
    async with database.across_tenants() as session:
        await session.execute(update(OutboxRow).values(created_at=now() - minute))
    await add(database, outbox, some_event())

    async def publish(events: Sequence[Event]) -> None:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise Unavailable("away")
        # Until all are published, the oldest counts, however often it is tried.
        assert minute.total_seconds() <= outbox_module.LAG._value.get() < 2 * minute.total_seconds()
        seen.set()

    async with relaying(outbox, publish), asyncio.timeout(DEADLINE_S):
        await seen.wait()
        while outbox_module.LAG._value.get():  # noqa: ASYNC110 -- a metric tells nobody
            await asyncio.sleep(0.01)


async def test_an_event_that_the_log_refuses_holds_up_no_other(
    database: Database, outbox: Outbox, log: Log, caplog: pytest.LogCaptureFixture
) -> None:
    events = [some_event() for _ in range(4)]
    log.refuses = {events[1].id}
    await add(database, outbox, *events)
    async with relaying(outbox, log.publish):
        await emptied(database)
    assert log.ids == [events[0].id, events[2].id, events[3].id]
    assert events[1].id in caplog.text


async def test_many_events_go_in_batches(database: Database, outbox: Outbox, log: Log) -> None:
    events = [some_event() for _ in range(outbox_module.BATCH_EVENTS + 1)]
    await add(database, outbox, *events)
    async with relaying(outbox, log.publish):
        await emptied(database)
    assert log.ids == [event.id for event in events]
    assert log.calls == 2
