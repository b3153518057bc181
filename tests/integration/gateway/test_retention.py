"""Retention against a model of it: each tenant keeps its own newest events, whatever the others publish."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autodev.gateway.v1 import event_service_pb2 as pb
from autodev.gateway.v1.event_service_pb2_grpc import EventServiceStub
from autodev_gateway import wire
from autodev_gateway.event_log import ALL_EVENTS, Draft, EventLog, LogOptions, PageBounds, Retention, cursor_of
from autodev_gateway.event_log.store import EventStore
from autodev_gateway.settings import GatewaySettings
from autodev_runtime.errors import OutOfRange
from autodev_runtime.identity import ALL_TENANTS
from autodev_runtime.migrations import upgrade
from tests.integration.gateway.parts import PATIENCE_S, failed, publish, read, started
from tests.storage import Storage, Storages

TENANTS = ("acme", "globex", "initech")
PUBLISHED = st.lists(st.tuples(st.sampled_from(TENANTS), st.integers(1, 300)), min_size=1, max_size=25)
SIZES = st.dictionaries(st.sampled_from(TENANTS), st.none() | st.integers(1, 2000))
EVERYTHING = PageBounds(1000, 10**9)


def draft(number: int, tenant: str, size_bytes: int) -> Draft:
    return Draft(tenant, f"{number:036d}", 20, "ada", "", bytes(size_bytes))


@given(PUBLISHED, st.none() | st.integers(1, 2000), SIZES, st.integers(0, 25))
@settings(max_examples=12, deadline=None)
def test_each_tenant_keeps_the_newest_that_fit_its_own_size(
    storages: Storages,
    published: list[tuple[str, int]],
    size_bytes: int | None,
    tenants: Mapping[str, int | None],
    swept_before: int,
) -> None:
    retention = Retention(None, size_bytes, {name: Retention(None, size) for name, size in tenants.items()})

    async def run(storage: Storage) -> None:
        async with storage.open("gateway") as database:
            await upgrade(database, "autodev_gateway")
            log = await EventLog.open(EventStore(database), LogOptions(tail_bytes=0, retention=retention))
            running = asyncio.create_task(log.run())
            drafts = [draft(number, *each) for number, each in enumerate(published)]
            places = [(await log.append([each]))[0] for each in drafts[:swept_before]]
            await log.sweep()
            places += [(await log.append([each]))[0] for each in drafts[swept_before:]]
            await log.sweep()
            for tenant in TENANTS:
                own = [
                    (place, len(wire.recorded(each.body, cursor_of(place), place)))
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
            running.cancel()

    with tempfile.TemporaryDirectory() as directory, storages.new(Path(directory)) as storage:
        asyncio.run(run(storage))


def _newest(own: list[tuple[int, int]], size_bytes: int | None) -> list[int]:
    """The places of the newest of these that are no larger, each without the length before it."""
    kept: list[int] = []
    room = size_bytes
    for place, sized in reversed(own):
        if room is not None:
            room -= sized - (1 if sized <= 128 else 2)
            if room < 0:
                break
        kept.append(place)
    return kept[::-1]


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
        with pytest.raises(OutOfRange):
            await gateway.parts.log.read(ALL_TENANTS, 0, ALL_EVENTS, log)
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


async def iter_of(request: pb.ConsumeRequest) -> AsyncIterator[pb.ConsumeRequest]:
    """Says one thing, and stays."""
    yield request
    await asyncio.Event().wait()
