"""The event log against a model of it: whatever is published in whatever batches, it is a list without repeats."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from autodev.gateway.v1 import event_pb2
from autodev.gateway.v1 import event_service_pb2 as pb
from autodev_gateway import wire
from autodev_gateway.episode_store import Episode, EpisodeQuery, EpisodeStore
from autodev_gateway.event_log import (
    ALL_EVENTS,
    Draft,
    EpisodeReport,
    EventLog,
    Filter,
    LogOptions,
    PageBounds,
    cursor_of,
)
from autodev_gateway.event_log.engines import engine_for
from autodev_gateway.event_log.subscription import Broadcast, Subscription
from autodev_gateway.settings import GatewaySettings
from autodev_runtime.database import Database
from autodev_runtime.identity import ALL_TENANTS
from autodev_runtime.migrations import upgrade
from tests.storage import EVERY_LOG, Storage, Storages

pytestmark = EVERY_LOG

TENANTS = ("acme", "globex")
READERS = (*TENANTS, ALL_TENANTS)
IDS = [f"{number:036d}" for number in range(12)]
REPORTS = st.builds(
    EpisodeReport,
    st.sampled_from(["episode-1", "episode-2", "episode-3"]),
    st.sampled_from(["ada", "bob"]),
    st.integers(1, 3),
    st.binary(max_size=20),
)
DRAFTS = st.builds(
    Draft,
    tenant=st.sampled_from(TENANTS),
    event_id=st.sampled_from(IDS),
    type=st.integers(20, 22),
    agent_id=st.sampled_from(["ada", "bob"]),
    skill_id=st.sampled_from(["", "s-1"]),
    body=st.binary(max_size=300),
    episode=st.none() | REPORTS,
)
CALLS = st.lists(st.lists(DRAFTS, min_size=1, max_size=6), min_size=1, max_size=8)
FILTERS = st.just(ALL_EVENTS) | st.builds(
    Filter,
    st.frozensets(st.integers(20, 22), max_size=2),
    st.frozensets(st.sampled_from(["ada", "bob"]), max_size=1),
    st.frozensets(st.sampled_from(["s-1"]), max_size=1),
)


@dataclass
class Model:
    """What the log must hold: for each tenant and id the first draft, with the place it was given."""

    events: dict[tuple[str, str], tuple[int, Draft]] = field(default_factory=dict)

    def appended(self, drafts: Sequence[Draft], places: Sequence[int]) -> None:
        """A call was acknowledged with these places."""
        for draft, place in zip(drafts, places, strict=True):
            stored_place, _ = self.events.setdefault((draft.tenant, draft.event_id), (place, draft))
            assert stored_place == place

    def expected(self, tenant: str, wanted: Filter, after: int) -> list[tuple[int, bytes]]:
        """What a reader must find."""
        return [
            (place, draft.body)
            for place, draft in sorted(self.events.values())
            if place > after
            and tenant in (ALL_TENANTS, draft.tenant)
            and (not wanted.types or draft.type in wanted.types)
            and (not wanted.agents or draft.agent_id in wanted.agents)
            and (not wanted.skills or draft.skill_id in wanted.skills)
        ]

    def episodes(self, tenant: str) -> list[Episode]:
        """What the tenant's list of episodes must be: the latest report of each, by when it was first recorded."""
        found: dict[str, Episode] = {}
        for place, draft in sorted(self.events.values()):
            if draft.tenant == tenant and (report := draft.episode) is not None:
                first = found.get(report.episode_id)
                first_us = first.recorded_us if first else place
                found[report.episode_id] = Episode(report.episode_id, report.task, first_us)
        return sorted(found.values(), key=lambda each: each.recorded_us, reverse=True)


async def read_on(
    log: EventLog, tenant: str, wanted: Filter, bounds: PageBounds, position: int = 0
) -> list[tuple[int, bytes]]:
    found: list[tuple[int, bytes]] = []
    while (page := await log.read(tenant, position, wanted, bounds)).records:
        found += [(record.seq, wire.unsized(record.sized)) for record in page.records]
        assert position < page.through
        position = page.through
    return found


async def check(
    storages: Storages,
    together: list[list[Draft]],
    later: list[list[Draft]],
    wanted: Filter,
    bounds: PageBounds,
    tail_bytes: int,
) -> None:
    model = Model()
    options = LogOptions(tail_bytes=tail_bytes)
    with tempfile.TemporaryDirectory() as directory, storages.new(Path(directory)) as storage:
        async with storage.open("gateway") as database:
            await upgrade(database, "autodev_gateway")
            for calls in (together, later):
                # The second time is after a start on the same files.
                async with running_log(storage, database, options) as log:
                    await check_calls(log, model, calls, wanted, bounds)
                    await log.indexed()
                    for tenant in TENANTS:
                        listed = await EpisodeStore(database).page(tenant, EpisodeQuery(), None, 100)
                        assert list(listed) == model.episodes(tenant)


@contextlib.asynccontextmanager
async def running_log(storage: Storage, database: Database, options: LogOptions) -> AsyncIterator[EventLog]:
    stream = storage.stream.settings if storage.stream is not None else {}
    async with engine_for(GatewaySettings(**stream), database) as engine:
        log = await EventLog.open(engine, options)
        running = asyncio.create_task(log.run())
        yield log
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def check_calls(
    log: EventLog, model: Model, calls: list[list[Draft]], wanted: Filter, bounds: PageBounds
) -> None:
    places = await asyncio.gather(*(log.append(drafts) for drafts in calls))
    for drafts, given_places in zip(calls, places, strict=True):
        model.appended(drafts, given_places)
    for reader in READERS:
        found = await read_on(log, reader, wanted, bounds)
        expected = model.expected(reader, wanted, 0)
        assert [place for place, _ in found] == [place for place, _ in expected]
        assert all(event.startswith(body) for (_, event), (_, body) in zip(found, expected, strict=True))
        await check_beside(log, model, wanted)


async def check_beside(log: EventLog, model: Model, wanted: Filter) -> None:
    """Wherever a reader has stopped, each other one finds all that comes after it."""
    for reader in READERS:
        for after in (0, *sorted(place for place, _ in model.events.values())):
            rest = await read_on(log, reader, ALL_EVENTS, PageBounds(), after)
            assert [place for place, _ in rest] == [place for place, _ in model.expected(reader, ALL_EVENTS, after)]
        found = await read_on(log, reader, wanted, PageBounds())
        assert [place for place, _ in found] == [place for place, _ in model.expected(reader, wanted, 0)]


@settings(max_examples=40)
@given(
    together=CALLS,
    later=CALLS,
    wanted=FILTERS,
    page_events=st.integers(1, 7),
    page_bytes=st.integers(1, 2000),
    tail_bytes=st.sampled_from([0, 500, 10**6]),
)
def test_the_log_is_a_list_without_repeats(
    storages: Storages,
    together: list[list[Draft]],
    later: list[list[Draft]],
    wanted: Filter,
    page_events: int,
    page_bytes: int,
    tail_bytes: int,
) -> None:
    asyncio.run(check(storages, together, later, wanted, PageBounds(page_events, page_bytes), tail_bytes))


def drafts_of(tenant: str) -> st.SearchStrategy[list[Draft]]:
    """A call's events, some of them published before."""
    return st.lists(
        st.builds(
            lambda event_id, kind: Draft(
                tenant, event_id, kind, "ada", "", event_pb2.Event(id=event_id).SerializeToString()
            ),
            st.sampled_from(IDS),
            st.integers(20, 22),
        ),
        max_size=4,
    )


@dataclass(frozen=True)
class Step:
    """What acme publishes, and what another tenant does before and after it."""

    before: list[Draft]
    own: list[Draft]
    after: list[Draft]


STEPS = st.lists(st.builds(Step, drafts_of("globex"), drafts_of("acme"), drafts_of("globex")), min_size=1, max_size=4)


@dataclass
class Told:
    """What a stream of acme's says: the events, and for each heartbeat which of its own events the cursor names."""

    events: list[str] = field(default_factory=list)
    heartbeats: list[int] = field(default_factory=list)


async def told_acme(
    storages: Storages, starts: list[list[Step]], wanted: Filter, bounds: PageBounds, tail_bytes: int
) -> Told:
    told = Told()
    own = [0]
    published: dict[str, Draft] = {}
    with tempfile.TemporaryDirectory() as directory, storages.new(Path(directory)) as storage:
        async with storage.open("gateway") as database:
            await upgrade(database, "autodev_gateway")
            for steps in starts:
                # Each is after a start on the same files.
                async with running_log(storage, database, LogOptions(tail_bytes=tail_bytes)) as log:
                    broadcast = Broadcast(log)
                    subscription = Subscription(broadcast, "acme", await log.last("acme"), wanted, bounds)
                    with broadcast.running(), contextlib.closing(subscription):
                        await hear(subscription, told, own)
                        for step in steps:
                            for drafts in filter(None, (step.before, step.own, step.after)):
                                places = await log.append(drafts)
                                own += [place for place in places if drafts is step.own and place > own[-1]]
                            for draft in step.own:
                                published.setdefault(draft.event_id, draft)
                            # What is appended beside what is followed comes a moment later.
                            await log.catch_up()
                            await hear(subscription, told, own)
    assert told.events == [
        each.event_id for each in published.values() if not wanted.types or each.type in wanted.types
    ]
    return told


async def hear(subscription: Subscription, told: Told, own: list[int]) -> None:
    """Read up to a heartbeat."""
    cursors = list(map(cursor_of, own))
    while True:
        response = pb.SubscribeResponse.FromString((await subscription.next(heartbeat_s=0)).message)
        assert response.head_cursor in cursors
        if not response.events:
            told.heartbeats.append(cursors.index(response.head_cursor))
            return
        assert response.head_cursor >= response.events[-1].cursor
        told.events += [event.id for event in response.events]


@settings(max_examples=15)
@given(
    starts=st.lists(STEPS, min_size=1, max_size=2),
    wanted=st.builds(Filter, st.frozensets(st.integers(20, 22), max_size=2)),
    page_events=st.integers(1, 5),
    tail_bytes=st.sampled_from([0, 300, 10**6]),
)
def test_what_a_tenant_is_told_is_the_same_whatever_others_publish(
    storages: Storages, starts: list[list[Step]], wanted: Filter, page_events: int, tail_bytes: int
) -> None:
    alone = [[Step([], step.own, []) for step in steps] for steps in starts]
    rest = wanted, PageBounds(page_events), tail_bytes
    assert asyncio.run(told_acme(storages, starts, *rest)) == asyncio.run(told_acme(storages, alone, *rest))
