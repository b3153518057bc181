"""Retention against a model of it: each tenant keeps its own newest events, whatever the others publish."""

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY
from sqlalchemy import text

from autodev.gateway.v1 import event_service_pb2 as pb
from autodev.gateway.v1.episode_service_pb2 import ListEpisodesRequest
from autodev.gateway.v1.event_service_pb2_grpc import EventServiceStub
from autodev_gateway import subscribe_stream, wire
from autodev_gateway.event_log import ALL_EVENTS, Draft, EventLog, LogOptions, PageBounds, Retention, cursor_of, store
from autodev_gateway.event_log.store import EventStore
from autodev_gateway.settings import GatewaySettings
from autodev_runtime.errors import OutOfRange
from autodev_runtime.identity import ALL_TENANTS
from autodev_runtime.migrations import upgrade
from autodev_sdk import AutoDevClient
from autodev_sdk.ending import ended
from tests.integration.gateway.parts import PATIENCE_S, Running, failed, publish, read, started
from tests.mesh import eventually
from tests.storage import EVERY_LOG, Storage, Storages

TENANTS = ("acme", "globex", "initech")
PUBLISHED = st.lists(st.tuples(st.sampled_from(TENANTS), st.integers(1, 300)), min_size=1, max_size=25)
SIZES = st.dictionaries(st.sampled_from(TENANTS), st.none() | st.integers(1, 2000))
EVERYTHING = PageBounds(1000, 10**9)


def draft(number: int, tenant: str, size_bytes: int) -> Draft:
    return Draft(tenant, f"{number:036d}", 20, "ada", "", bytes(size_bytes))


@given(PUBLISHED, st.none() | st.integers(1, 2000), SIZES, st.integers(0, 25))
@settings(max_examples=12)
def test_each_tenant_keeps_the_newest_that_fit_its_own_size(
    storages: Storages,
    published: list[tuple[str, int]],
    size_bytes: int | None,
    tenants: Mapping[str, int | None],
    swept_before: int,
) -> None:
    retention = Retention(None, size_bytes, {name: Retention(None, size) for name, size in tenants.items()})

    async def run(storage: Storage) -> None:
        async with running_log(storage, retention) as log:
            drafts = [draft(number, *each) for number, each in enumerate(published)]
            places = [(await log.append([each]))[0] for each in drafts[:swept_before]]
            await log.sweep()
            places += [(await log.append([each]))[0] for each in drafts[swept_before:]]
            await log.sweep()
            for tenant in TENANTS:
                own = [
                    (place, stored_bytes(each, place))
                    for place, each in zip(places, drafts, strict=True)
                    if each.tenant == tenant
                ]
                kept = await log.read_kept(tenant, 0, ALL_EVENTS, EVERYTHING)
                expected = _newest(own, tenants.get(tenant, size_bytes))
                assert [record.seq for record in kept.records] == expected
                gone = [place for place, _ in own if place not in expected]
                assert log.oldest(tenant) == (gone[-1] if gone else 0)
                for place in gone[:-1]:
                    with pytest.raises(OutOfRange) as told:
                        await log.read(tenant, place, ALL_EVENTS, EVERYTHING)
                    assert told.value.metadata["oldest_cursor"] == cursor_of(gone[-1])
                again = await log.read(tenant, log.oldest(tenant), ALL_EVENTS, EVERYTHING)
                assert [record.seq for record in again.records] == expected

    with tempfile.TemporaryDirectory() as directory, storages.new(Path(directory)) as storage:
        asyncio.run(run(storage))


def stored_bytes(each: Draft, place: int) -> int:
    """How large an event is in the log: as subscribers get it, without the length before it."""
    sized = len(wire.recorded(each.body, cursor_of(place), place))
    return sized - (1 if sized <= 128 else 2)


def _newest(own: list[tuple[int, int]], size_bytes: int | None) -> list[int]:
    """The places of the newest of these that are no larger."""
    kept: list[int] = []
    room = size_bytes
    for place, stored in reversed(own):
        if room is not None:
            room -= stored
            if room < 0:
                break
        kept.append(place)
    return kept[::-1]


@contextlib.asynccontextmanager
async def running_log(storage: Storage, retention: Retention) -> AsyncIterator[EventLog]:
    async with storage.open("gateway") as database:
        await upgrade(database, "autodev_gateway")
        log = await EventLog.open(EventStore(database), LogOptions(tail_bytes=0, retention=retention))
        running = asyncio.create_task(log.run())
        try:
            yield log
        finally:
            await ended(running)


@pytest.mark.parametrize(("off_bytes", "kept"), [(0, 2), (-1, 1)])
async def test_what_is_just_as_large_as_may_be_is_kept(storage: Storage, off_bytes: int, kept: int) -> None:
    drafts = [draft(number, "acme", 20) for number in range(3)]
    async with running_log(storage, Retention()) as log:
        places = await log.append(drafts)
    size_bytes = sum(map(stored_bytes, drafts[1:], places[1:])) + off_bytes
    async with running_log(storage, Retention(size_bytes=size_bytes)) as log:
        await log.sweep()
        found = await log.read_kept("acme", 0, ALL_EVENTS, EVERYTHING)
        assert [record.seq for record in found.records] == places[-kept:]


@pytest.mark.parametrize("off_us", [-1000, 1000])
async def test_an_event_is_kept_until_it_has_the_age_that_is_set(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, off_us: int
) -> None:
    age = timedelta(hours=1)
    async with running_log(storage, Retention(age=age)) as log:
        places = []
        for number in range(3):
            places += await log.append([draft(number, "acme", 10)])
            await asyncio.sleep(0.01)
        clock = SimpleNamespace(time=lambda: (places[1] + off_us) / 1_000_000 + age.total_seconds())
        monkeypatch.setattr("autodev_gateway.event_log.retention.time", clock)
        gone = 2 if off_us > 0 else 1
        assert await log.sweep() == gone
        kept = await log.read_kept("acme", 0, ALL_EVENTS, EVERYTHING)
        assert [record.seq for record in kept.records] == places[gone:]


@EVERY_LOG
async def test_an_episode_is_kept_as_long_as_its_latest_report(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "DELETED_AT_ONCE", 2)
    age_s = 3600.0
    stated = {"retention_age_s": age_s, "tenant_retention": {"globex": {"age_s": None}}}
    async with (
        started(storage, **stated) as gateway,
        gateway.client() as acme,
        gateway.client("globex") as globex,
    ):
        await publish(globex, [failed(1)])
        await publish(acme, [failed(number) for number in range(7)])
        await asyncio.sleep(0.01)
        (reported_again,) = await publish(acme, [failed(3)])
        await publish(acme, [failed(8)])
        just_before_s = (int(reported_again, 16) - 1000) / 1_000_000
        clock = SimpleNamespace(time=lambda: just_before_s + age_s, monotonic=time.monotonic)
        monkeypatch.setattr("autodev_gateway.event_log.retention.time", clock)
        assert await gateway.parts.log.sweep() == 7
        assert await episodes(acme) == ["episode-8", "episode-3"]
        assert await episodes(globex) == ["episode-1"]


@EVERY_LOG
async def test_episodes_of_events_that_are_too_large_together_go_with_them(storage: Storage) -> None:
    async with started(storage, retention_bytes=1) as gateway, gateway.client() as acme:
        await publish(acme, [failed(number) for number in range(5)])
        assert await gateway.parts.log.sweep() == 5
        assert await episodes(acme) == []


async def episodes(client: AutoDevClient) -> list[str]:
    response = await client.episodes.ListEpisodes(ListEpisodesRequest())
    return [each.id for each in response.episodes]


async def test_an_episode_whose_latest_report_is_not_known_is_kept_from_the_migration_on(storage: Storage) -> None:
    """As the release before left them, and as it stores them beside this one."""
    insert = "INSERT INTO episodes (tenant_id, id, agent_id, outcome, recorded_seq, task)"
    async with storage.open("gateway") as database:
        await upgrade(database, "autodev_gateway")
        async with database.across_tenants() as session:
            await session.execute(text(f"{insert} VALUES ('acme', 'before', 'ada', 2, 1, '')"))
        ((migrated, *_),) = await storage.rows("gateway", "SELECT reported_seq FROM episodes")
        async with database.across_tenants() as session:
            await session.execute(text(f"{insert} VALUES ('acme', 'beside', 'ada', 2, {migrated + 10}, '')"))
        rows = EventStore(database)
        assert await rows.tenants() == ["acme"]
        forgotten = [await rows.forget("acme", migrated + later) for later in (-1, 0, 9, 10)]
    assert forgotten == [0, 1, 0, 1]


async def test_a_setting_for_one_tenant_leaves_the_others_as_they_are(storage: Storage) -> None:
    stated = {"globex": {"bytes": 1}, "acme": {"age_s": None}}
    async with (
        started(storage, tenant_retention=stated, retention_age_s=0.001) as gateway,
        gateway.client() as acme,
        gateway.client("globex") as globex,
    ):
        kept = [failed(number) for number in range(3)]
        await publish(acme, kept)
        await publish(globex, [failed(number) for number in range(3)])
        assert await gateway.parts.log.sweep() == 3
        assert [each.id for each in await read(acme, 3, at=pb.START_AT_EARLIEST)] == [each.id for each in kept]


def test_any_tenant_may_have_a_retention() -> None:
    tenants = ["acme/eu", "a@b.c", "a:b", ".a"]
    stated = GatewaySettings(tenant_retention={tenant: {"bytes": 1} for tenant in tenants})
    assert [stated.retention.of(tenant).size_bytes for tenant in tenants] == [1] * 4


def test_what_a_tenants_setting_says_nothing_of_is_as_for_all() -> None:
    stated = GatewaySettings.model_validate(
        {"retention_age_s": 60, "retention_bytes": 1000, "tenant_retention": {"a": {"bytes": None}, "b": {"age_s": 5}}}
    )
    kept = stated.retention
    assert (kept.of("a").age, kept.of("a").size_bytes) == (timedelta(seconds=60), None)
    assert (kept.of("b").age, kept.of("b").size_bytes) == (timedelta(seconds=5), 1000)
    assert (kept.of("c").age, kept.of("c").size_bytes) == (timedelta(seconds=60), 1000)


async def test_a_group_of_all_tenants_misses_nothing_that_another_tenant_keeps(storage: Storage) -> None:
    log = PageBounds(10)
    async with (
        started(storage, tail_bytes=0, tenant_retention={"globex": {"bytes": 1}}) as gateway,
        gateway.client() as acme,
        gateway.client("globex") as globex,
    ):
        kept = [failed(number) for number in range(3)]
        await publish(acme, kept)
        await publish(globex, [failed(number) for number in range(4)])
        assert await gateway.parts.log.sweep() == 4
        assert len((await gateway.parts.log.read(ALL_TENANTS, 0, ALL_EVENTS, log)).records) == len(kept)
        async with gateway.service() as channel:
            start = pb.ConsumeStart(group="learning.all", at=pb.START_AT_EARLIEST)
            call = EventServiceStub(channel).Consume(iter_of(pb.ConsumeRequest(start=start)))
            taken: list[str] = []
            async with asyncio.timeout(PATIENCE_S):
                async for response in call:
                    taken += [each.event.id for each in response.deliveries]
                    if len(taken) >= len(kept):
                        break
            call.cancel()
            assert taken == [each.id for each in kept]


async def sweep(gateway: Running, *tenants: str) -> None:
    """Delete what is past retention, which is all that these tenants have, with the sweep that may be under way."""
    log = gateway.parts.log

    async def nothing_left() -> bool:
        await log.sweep()
        return not any([(await log.read_kept(tenant, 0, ALL_EVENTS, EVERYTHING)).records for tenant in tenants])

    await eventually(nothing_left, "what is past retention is gone")


async def answers_until(
    gateway: Running, count: int, **request: Any
) -> tuple[list[pb.Gap], list[tuple[str, int]], list[str]]:
    """A service's subscription: the gaps told, what came when (`gaps` or `events`, how many), and the events' ids."""
    gaps: list[pb.Gap] = []
    came: list[tuple[str, int]] = []
    ids: list[str] = []
    async with gateway.service() as channel, asyncio.timeout(PATIENCE_S):
        call = EventServiceStub(channel).Subscribe(pb.SubscribeRequest(**request))
        async for answer in call:
            gaps += answer.gaps
            if answer.gaps:
                assert not answer.events
                came.append(("gaps", len(answer.gaps)))
            if answer.events:
                ids += [each.id for each in answer.events]
                came.append(("events", len(answer.events)))
            if len(ids) >= count:
                break
        call.cancel()
    return gaps, came, ids


@EVERY_LOG
async def test_a_subscriber_of_all_tenants_is_told_whose_events_are_gone_and_gets_the_others(storage: Storage) -> None:
    async with (
        started(storage, tail_bytes=0, tenant_retention={"globex": {"bytes": 1}}) as gateway,
        gateway.client() as acme,
        gateway.client("globex") as globex,
    ):
        before, *kept = (failed(number) for number in range(4))
        (cursor,) = await publish(acme, [before])
        await publish(acme, kept)
        gone = await publish(globex, [failed(number) for number in range(4)])
        await sweep(gateway, "globex")
        last = failed(9)
        await publish(acme, [last])
        wanted = [each.id for each in (*kept, last)]
        gaps, came, ids = await answers_until(gateway, len(wanted), after_cursor=cursor)
        assert gaps == [pb.Gap(tenant_id="globex", oldest_cursor=gone[-1])]
        # Before the events that come after it.
        assert came[0] == ("gaps", 1)
        assert ids == wanted
        # Who asks for what is kept misses nothing; nor does who had it all.
        for request in ({"at": pb.START_AT_EARLIEST}, {"after_cursor": gone[-1]}):
            gaps, _, ids = await answers_until(gateway, 1, **request)
            assert gaps == []
        assert ids == [last.id]
        gaps, _, ids = await answers_until(gateway, 5, at=pb.START_AT_EARLIEST)
        assert (gaps, ids) == ([], [before.id, *wanted])


async def test_of_many_gaps_a_message_tells_so_many(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscribe_stream, "GAPS_AT_ONCE", 1)
    short = {tenant: {"bytes": 1} for tenant in ("globex", "initech")}
    async with (
        started(storage, tail_bytes=0, tenant_retention=short, development_tenants=["acme", *short]) as gateway,
        gateway.client() as acme,
    ):
        (cursor,) = await publish(acme, [failed(1)])
        for tenant in short:
            async with gateway.client(tenant) as client:
                await publish(client, [failed(1)])
        await sweep(gateway, *short)
        await publish(acme, [failed(2)])
        gaps, came, _ = await answers_until(gateway, 1, after_cursor=cursor)
        assert ({each.tenant_id for each in gaps}, came) == (set(short), [("gaps", 1), ("gaps", 1), ("events", 1)])


@EVERY_LOG
async def test_the_log_says_once_whose_events_a_group_lost_to_retention(
    storage: Storage, caplog: pytest.LogCaptureFixture
) -> None:
    start = pb.ConsumeStart(group="learning.all", at=pb.START_AT_EARLIEST, max_in_flight=1)
    stated: dict[str, Any] = {"tail_bytes": 0}
    async with started(storage, **stated) as gateway, gateway.client() as acme:
        await publish(acme, [failed(1)])
        assert await taken_by(gateway, start, 1) == ["episode-1"]
        async with gateway.client("globex") as globex:
            await publish(globex, [failed(number) for number in range(3)])
        await publish(acme, [failed(2), failed(3)])
    before = REGISTRY.get_sample_value("autodev_group_gaps_total") or 0
    async with started(storage, **stated, tenant_retention={"globex": {"bytes": 1}}) as gateway:
        await sweep(gateway, "globex")
        assert await taken_by(gateway, start, 2) == ["episode-2", "episode-3"]
    assert caplog.text.count("past retention, of 1 tenants: globex") == 1
    assert REGISTRY.get_sample_value("autodev_group_gaps_total") == before + 1


async def taken_by(gateway: Running, start: pb.ConsumeStart, count: int) -> list[str]:
    """The episodes of a service's first deliveries, each acknowledged."""
    asked: asyncio.Queue[pb.ConsumeRequest | None] = asyncio.Queue()
    asked.put_nowait(pb.ConsumeRequest(start=start))

    async def requests() -> AsyncIterator[pb.ConsumeRequest]:
        while (request := await asked.get()) is not None:
            yield request

    taken: list[str] = []
    async with gateway.service() as channel, asyncio.timeout(PATIENCE_S):
        call = EventServiceStub(channel).Consume(requests())
        async for response in call:
            for each in response.deliveries:
                taken.append(each.event.task_failed.episode_id)
                asked.put_nowait(pb.ConsumeRequest(acknowledge=pb.Acknowledge(delivery_ids=[each.delivery_id])))
            if len(taken) >= count:
                # Once all of it was heard, the call ends.
                asked.put_nowait(None)
    return taken


async def iter_of(request: pb.ConsumeRequest) -> AsyncIterator[pb.ConsumeRequest]:
    """Says one thing, and stays."""
    yield request
    await asyncio.Event().wait()
