"""Following the log: from any place, in order, without a gap, and nobody waits for anybody."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from autodev.gateway.v1 import event_pb2
from autodev.gateway.v1 import event_service_pb2 as pb
from autodev.gateway.v1.event_service_pb2_grpc import EventServiceStub
from autodev_gateway import metrics
from autodev_gateway.event_log import cursor_of, subscription
from autodev_gateway.event_log.engine import JoinedReading
from autodev_gateway.event_log.model import Page
from autodev_gateway.event_log.subscription import Batch
from autodev_sdk import AutoDevClient
from tests.integration.gateway.parts import PATIENCE_S, Running, failed, publish, ran, read, started, until
from tests.serving import Refusal, refusal, refusal_of
from tests.storage import EVERY_LOG, Storage

pytestmark = EVERY_LOG

TYPES: dict[str, Any] = {"types": [event_pb2.EVENT_TYPE_SKILL_EXECUTED]}
QUICK = Duration(nanos=100_000_000)


@contextlib.asynccontextmanager
async def following(client: AutoDevClient, **request: Any) -> AsyncIterator[Any]:
    """A subscription that is in its place in the log."""
    stream = client.events.Subscribe(pb.SubscribeRequest(**request))
    async with asyncio.timeout(PATIENCE_S):
        await stream.initial_metadata()
    try:
        yield stream
    finally:
        stream.cancel()


async def read_one(stream: Any) -> pb.SubscribeResponse:
    """The next message."""
    async with asyncio.timeout(PATIENCE_S):
        response: pb.SubscribeResponse = await stream.read()
    return response


async def next_events(stream: Any) -> pb.SubscribeResponse:
    """The next message that holds events."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            response: pb.SubscribeResponse = await stream.read()
            if response.events:
                return response


async def test_now_starts_with_the_next_event(acme: AutoDevClient) -> None:
    await publish(acme, [failed(1)])
    for start in ({"at": pb.START_AT_NOW}, {}):
        async with following(acme, **start) as stream:
            event = failed(2)
            await publish(acme, [event])
            assert [each.id for each in (await next_events(stream)).events] == [event.id]


async def test_an_event_comes_complete(acme: AutoDevClient) -> None:
    event = failed(1, code="def add(a, b): return a - b")
    before = time.time()
    (cursor,) = await publish(acme, [event])
    (stored,) = await read(acme, 1, at=pb.START_AT_EARLIEST)
    assert (stored.id, stored.cursor, stored.tenant_id, stored.agent_id) == (event.id, cursor, "acme", "ada")
    assert (stored.task_failed, stored.occurred_at) == (event.task_failed, event.occurred_at)
    assert before - 1 <= stored.recorded_at.ToMicroseconds() / 1e6 <= time.time() + 1


async def test_it_goes_on_after_a_cursor(acme: AutoDevClient) -> None:
    events = [failed(number) for number in range(5)]
    cursors = await publish(acme, events)
    rest = await read(acme, 2, after_cursor=cursors[2])
    assert [event.id for event in rest] == [event.id for event in events[3:]]


async def test_it_starts_with_the_first_event_recorded_at_a_time(acme: AutoDevClient) -> None:
    await publish(acme, [failed(1)])
    second = failed(2)
    await publish(acme, [second])
    (_, stored) = await read(acme, 2, at=pb.START_AT_EARLIEST)
    assert [event.id for event in await read(acme, 1, at_time=stored.recorded_at)] == [second.id]


async def test_a_time_to_come_holds_back_what_comes_before_it(acme: AutoDevClient) -> None:
    later = Timestamp()
    later.FromMicroseconds(time.time_ns() // 1000 + 3_600_000_000)
    async with following(acme, at_time=later, heartbeat_interval=QUICK) as stream:
        (cursor,) = await publish(acme, [failed(1)])
        async with asyncio.timeout(PATIENCE_S):
            response = await stream.read()
            while response.head_cursor < cursor:
                assert not response.events
                response = await stream.read()
        assert not response.events


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (TYPES, [1, 2, 4]),
        ({"agent_ids": ["ada"]}, [0, 1, 3]),
        ({"skill_ids": ["s-1"]}, [1, 4]),
        ({"skill_ids": ["s-1", "s-2"], "agent_ids": ["bob"]}, [2, 4]),
        (TYPES | {"agent_ids": ["nobody"]}, []),
    ],
)
@pytest.mark.parametrize("tail_bytes", [0, 1_000_000], ids=["from the database", "from memory"])
async def test_filters_let_pass_what_fits_all_of_them(
    storage: Storage, wanted: dict[str, Any], expected: list[int], tail_bytes: int
) -> None:
    async with started(storage, tail_bytes=tail_bytes) as gateway, gateway.client() as acme:
        events = [failed(0), ran("s-1"), ran("s-2", "bob"), failed(1), ran("s-1", "bob")]
        events[3] = failed(3, "ada")
        await publish(acme, events)
        async with following(
            acme, filter=pb.EventFilter(**wanted), at=pb.START_AT_EARLIEST, heartbeat_interval=QUICK
        ) as stream:
            found: list[str] = []
            async with asyncio.timeout(PATIENCE_S):
                while (response := await stream.read()).events:
                    found += [event.id for event in response.events]
            assert found == [events[index].id for index in expected]


@pytest.mark.parametrize("tail_bytes", [0, 100_000_000], ids=["from the database", "from memory"])
async def test_events_come_in_batches_of_the_size_asked_for(storage: Storage, tail_bytes: int) -> None:
    async with started(storage, tail_bytes=tail_bytes) as gateway, gateway.client() as acme:
        events = [failed(number) for number in range(1000)]
        await publish(acme, events)
        async with following(acme, at=pb.START_AT_EARLIEST, max_batch_events=300) as stream:
            batches = [await next_events(stream) for _ in range(4)]
        assert [len(each.events) for each in batches] == [300, 300, 300, 100]
        assert [each.head_cursor for each in batches] == [each.events[-1].cursor for each in batches]
        assert [event.id for each in batches for event in each.events] == [event.id for event in events]


@pytest.mark.parametrize("tail_bytes", [0, 100_000_000], ids=["from the database", "from memory"])
async def test_a_batch_of_large_events_still_fits_a_message(storage: Storage, tail_bytes: int) -> None:
    async with started(storage, tail_bytes=tail_bytes) as gateway, gateway.client() as acme:
        for number in range(8):
            await publish(acme, [failed(number, code="x" * 120_000, preamble="y" * 120_000) for _ in range(3)])
        async with following(acme, at=pb.START_AT_EARLIEST) as stream:
            sizes = []
            received = 0
            while received < 24:
                response = await next_events(stream)
                sizes.append(response.ByteSize())
                received += len(response.events)
        assert max(sizes) < 1.5 * 1024 * 1024
        assert received == 24


async def test_a_heartbeat_says_where_to_go_on(acme: AutoDevClient) -> None:
    (cursor,) = await publish(acme, [failed(1)])
    async with following(acme, filter=pb.EventFilter(**TYPES), heartbeat_interval=QUICK) as stream:
        async with asyncio.timeout(PATIENCE_S):
            response = await stream.read()
        assert (list(response.events), response.head_cursor) == ([], cursor)
        run = ran("s-1")
        await publish(acme, [failed(2), run])
        assert [event.id for event in await read(acme, 2, after_cursor=response.head_cursor)][-1] == run.id


async def test_what_a_stream_says_tells_nothing_of_other_tenants(acme: AutoDevClient, globex: AutoDevClient) -> None:
    (own,) = await publish(acme, [failed(1)])
    async with (
        following(acme, heartbeat_interval=QUICK) as stream,
        following(acme, filter=pb.EventFilter(**TYPES), heartbeat_interval=QUICK) as filtered,
    ):
        for number in range(3):
            await publish(globex, [ran("s-1")])
            # One heartbeat may have been on its way.
            for each in (stream, filtered, stream, filtered):
                response = await read_one(each)
                assert (list(response.events), response.head_cursor) == ([], own)
            (own,) = await publish(acme, [failed(number)])
            assert (await next_events(stream)).head_cursor == own
            async with asyncio.timeout(PATIENCE_S):
                while (await filtered.read()).head_cursor != own:
                    pass


async def test_a_tenant_that_never_published_is_at_the_beginning_of_the_log(
    acme: AutoDevClient, globex: AutoDevClient
) -> None:
    await publish(globex, [failed(1)])
    async with following(acme, heartbeat_interval=QUICK) as stream:
        await publish(globex, [failed(2)])
        response = await read_one(stream)
    assert (list(response.events), response.head_cursor) == ([], "0" * 16)
    own = failed(3)
    await publish(acme, [own])
    assert [event.id for event in await read(acme, 1, after_cursor=response.head_cursor)] == [own.id]


async def test_no_cursor_is_refused_for_being_after_what_others_published(
    acme: AutoDevClient, globex: AutoDevClient
) -> None:
    (own,) = await publish(acme, [failed(1)])
    (theirs,) = await publish(globex, [failed(2)])
    for place in (int(theirs, 16), int(theirs, 16) + 1):
        async with following(acme, after_cursor=cursor_of(place), heartbeat_interval=QUICK) as stream:
            response = await read_one(stream)
        assert (list(response.events), response.head_cursor) == ([], own)


@pytest.mark.parametrize("tail_bytes", [0, 1_000_000], ids=["from the database", "from memory"])
async def test_an_idle_subscriber_asks_the_database_nothing_while_others_publish(
    storage: Storage, tail_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with started(storage) as gateway, gateway.client() as acme:
        (own,) = await publish(acme, [failed(1)])
    async with (
        started(storage, tail_bytes=tail_bytes) as gateway,
        gateway.client() as acme,
        gateway.client("globex") as globex,
        following(acme, heartbeat_interval=QUICK) as stream,
    ):
        assert (await read_one(stream)).head_cursor == own
        asked: list[str] = []
        for name in ("read", "joined", "last"):
            monkeypatch.setattr(gateway.parts.log._engine, name, lambda *_, name=name: asked.append(name))
        for number in range(3):
            await publish(globex, [failed(number)])
            assert (await read_one(stream)).head_cursor == own
        async with following(acme, after_cursor=own, heartbeat_interval=QUICK) as other:
            assert (await read_one(other)).head_cursor == own
    assert not asked


async def test_the_cursor_of_a_tenant_all_of_whose_events_are_past_retention_stays_good(storage: Storage) -> None:
    async with started(storage, retention_bytes=1) as gateway, gateway.client() as acme:
        (own,) = await publish(acme, [failed(1)])
        await gateway.parts.log.sweep()
        async with following(acme, heartbeat_interval=QUICK) as stream:
            assert (await read_one(stream)).head_cursor == own
    async with started(storage) as gateway, gateway.client() as acme, gateway.client("globex") as globex:
        await publish(globex, [failed(2)])
        for start in ({"at": pb.START_AT_NOW}, {"at": pb.START_AT_EARLIEST}, {"after_cursor": own}):
            async with following(acme, heartbeat_interval=QUICK, **start) as stream:
                assert (await read_one(stream)).head_cursor == own


async def test_another_tenants_events_never_come(acme: AutoDevClient, globex: AutoDevClient) -> None:
    (theirs,) = await publish(globex, [failed(1)])
    own = failed(2)
    await publish(acme, [own])
    assert [event.id for event in await read(acme, 1, at=pb.START_AT_EARLIEST)] == [own.id]
    # Another tenant's cursor is a place like any other, and shows nothing of what is there.
    assert [event.id for event in await read(acme, 1, after_cursor=theirs)] == [own.id]


async def test_a_service_for_all_tenants_follows_them_all_in_order(
    gateway: Running, acme: AutoDevClient, globex: AutoDevClient
) -> None:
    events = [failed(1), failed(2), failed(3)]
    for client, event in zip((acme, globex, acme), events, strict=True):
        await publish(client, [event])
    async with gateway.service() as channel:
        stream = EventServiceStub(channel).Subscribe(pb.SubscribeRequest(at=pb.START_AT_EARLIEST))
        response = await read_one(stream)
        stream.cancel()
    assert [(event.id, event.tenant_id) for event in response.events] == [
        (events[0].id, "acme"),
        (events[1].id, "globex"),
        (events[2].id, "acme"),
    ]


@pytest.mark.parametrize("cursor", ["", "nonsense", "f" * 16, "-000000000000001", "7" * 16])
async def test_a_cursor_that_the_log_never_gave_is_refused(acme: AutoDevClient, cursor: str) -> None:
    await publish(acme, [failed(1)])
    refused = await refusal(acme.events.Subscribe(pb.SubscribeRequest(after_cursor=cursor)).read())
    assert (refused.code, refused.fields) == ("INVALID_ARGUMENT", ["after_cursor"])


async def test_a_subscriber_goes_on_after_the_gateway_was_started_again(storage: Storage) -> None:
    async with started(storage) as gateway, gateway.client() as acme:
        cursors = await publish(acme, [failed(1), failed(2)])
    async with started(storage) as gateway, gateway.client() as acme:
        later = failed(3)
        (after,) = await publish(acme, [later])
        assert after > cursors[-1]
        assert [event.task_failed.episode_id for event in await read(acme, 2, after_cursor=cursors[0])] == [
            "episode-2",
            "episode-3",
        ]


async def test_a_drain_ends_subscriptions_at_once(storage: Storage) -> None:
    async with contextlib.AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(started(storage, drain_s=60.0))
        async with grpc.aio.insecure_channel(gateway.public_address) as channel:
            stub = EventServiceStub(channel)
            authorization = (("authorization", f"Bearer {gateway.key('acme')}"),)
            stream = stub.Subscribe(pb.SubscribeRequest(), metadata=authorization)
            await stream.initial_metadata()
            began = time.monotonic()
            await stack.aclose()
            assert time.monotonic() - began < 10
            told = await refusal(stream.read())
    assert (told.code, told.reason) == ("UNAVAILABLE", "DRAINING")


async def oldest_from(told: Refusal) -> str:
    assert (told.code, told.reason) == ("OUT_OF_RANGE", "CURSOR_EXPIRED")
    return told.metadata["oldest_cursor"]


async def test_a_cursor_past_retention_is_refused_with_the_oldest_one(storage: Storage) -> None:
    async with started(storage, retention_bytes=1500) as gateway, gateway.client() as acme:
        events = [failed(number) for number in range(30)]
        cursors = await publish(acme, events)
        deleted = await gateway.parts.log.sweep()
        assert 0 < deleted < 30
        told = await refusal(acme.events.Subscribe(pb.SubscribeRequest(after_cursor=cursors[0])).read())
        oldest = await oldest_from(told)
        # Of events that are published together each place follows the one before: the next after this one is gone.
        last = pb.SubscribeRequest(after_cursor=cursors[deleted - 2])
        assert await oldest_from(await refusal(acme.events.Subscribe(last).read())) == oldest
        kept = [event.id for event in events[deleted:]]
        assert [event.id for event in await read(acme, len(kept), after_cursor=oldest)] == kept
        assert [event.id for event in await read(acme, len(kept), at=pb.START_AT_EARLIEST)] == kept
        long_ago = Timestamp(seconds=1)
        await oldest_from(await refusal(acme.events.Subscribe(pb.SubscribeRequest(at_time=long_ago)).read()))
    async with started(storage) as gateway, gateway.client() as acme:
        told = await refusal(acme.events.Subscribe(pb.SubscribeRequest(after_cursor=cursors[0])).read())
        assert await oldest_from(told) == oldest


async def test_what_retention_deletes_while_it_is_read_is_told_too(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with started(storage, tail_bytes=0, retention_bytes=1) as gateway, gateway.client() as client:
        cursors = [cursor for number in range(5) for cursor in await publish(client, [failed(number)])]
        log = gateway.parts.log
        joined = log._engine.joined

        async def joined_late(*args: Any) -> JoinedReading:
            await log.sweep()
            return await joined(*args)

        monkeypatch.setattr(log._engine, "joined", joined_late)
        async with following(client, after_cursor=cursors[0]) as stream:
            refused = await refusal(read_one(stream))
        assert (refused.code, refused.reason) == ("OUT_OF_RANGE", "CURSOR_EXPIRED")
        assert refused.metadata["oldest_cursor"] >= cursors[-2]


async def test_who_wants_what_is_kept_is_not_refused_for_a_deletion_before_the_first_message(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with started(storage, tail_bytes=0, retention_bytes=1500) as gateway, gateway.client() as client:
        events = [failed(number) for number in range(30)]
        await publish(client, events)
        log = gateway.parts.log
        joined = log._engine.joined
        deleted: list[int] = []

        async def joined_late(*args: Any) -> JoinedReading:
            deleted.append(await log.sweep())
            return await joined(*args)

        monkeypatch.setattr(log._engine, "joined", joined_late)
        received = await read(client, 1, at=pb.START_AT_EARLIEST)
    assert deleted[0] > 0
    assert [each.id for each in received] == [each.id for each in events[deleted[0] :]]


async def test_retention_by_age_keeps_what_is_young(storage: Storage) -> None:
    async with started(storage) as gateway, gateway.client() as acme:
        (cursor,) = await publish(acme, [failed(1)])
    async with started(storage, retention_age_s=3600) as gateway:
        assert await gateway.parts.log.sweep() == 0
    age_s = timedelta(milliseconds=1).total_seconds()
    async with started(storage, retention_age_s=age_s) as gateway, gateway.client() as acme:
        await gateway.parts.log.sweep()
        # At the very place of what was deleted nothing is missing.
        event = failed(2)
        await publish(acme, [event])
        assert [each.id for each in await read(acme, 1, after_cursor=cursor)] == [event.id]


async def test_a_quiet_tenants_cursor_outlives_the_deletion_of_others_events(storage: Storage) -> None:
    async with (
        started(storage, retention_bytes=1) as gateway,
        gateway.client() as acme,
        gateway.client("globex") as globex,
    ):
        (cursor,) = await publish(acme, [failed(1)])
        await publish(globex, [failed(number) for number in range(20)])
        await gateway.parts.log.sweep()
        own = failed(2)
        await publish(acme, [own])
        assert [each.id for each in await read(acme, 1, after_cursor=cursor)] == [own.id]


async def test_a_slow_subscriber_is_told_and_resumes_without_loss_and_delays_nobody(storage: Storage) -> None:
    async with started(storage, subscriber_stall_s=0.3) as gateway, gateway.client() as acme:
        slow_before = metrics.SLOW._value.get()
        options = [("grpc.http2.lookahead_bytes", 65_536), ("grpc.http2.bdp_probe", 0)]
        async with grpc.aio.insecure_channel(gateway.public_address, options=options) as channel:
            authorization = (("authorization", f"Bearer {gateway.key('acme')}"),)
            slow = EventServiceStub(channel).Subscribe(
                pb.SubscribeRequest(at=pb.START_AT_EARLIEST), metadata=authorization
            )
            await slow.initial_metadata()
            events = [failed(number, code="x" * 20_000) for number in range(300)]
            async with following(acme, at=pb.START_AT_EARLIEST) as quick:
                received = 0
                for start in range(0, 300, 30):
                    await publish(acme, events[start : start + 30])
                    while received < start + 30:
                        received += len((await next_events(quick)).events)
            await until(lambda: metrics.SLOW._value.get() > slow_before, "the gateway gives up on the slow one")
            seen: list[str] = []
            told: Refusal | None = None
            async with asyncio.timeout(PATIENCE_S):
                while told is None:
                    try:
                        seen += [event.id for event in (await read_one(slow)).events]
                    except grpc.aio.AioRpcError as error:
                        told = refusal_of(error)
        assert (told.code, told.reason) == ("RESOURCE_EXHAUSTED", "SUBSCRIBER_TOO_SLOW")
        assert 0 < len(seen) < 300
        seen += [event.id for event in await read(acme, 300 - len(seen), after_cursor=told.metadata["cursor"])]
        assert seen == [event.id for event in events]


async def test_a_hundred_subscribers_all_get_everything(acme: AutoDevClient) -> None:
    async with contextlib.AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(following(acme)) for _ in range(100)]
        events = [failed(number) for number in range(50)]
        for start in range(0, 50, 10):
            await publish(acme, events[start : start + 10])

        async def all_of(stream: Any) -> list[str]:
            found: list[str] = []
            while len(found) < 50:
                found += [event.id for event in (await next_events(stream)).events]
            return found

        expected = [event.id for event in events]
        assert await asyncio.gather(*(all_of(stream) for stream in streams)) == [expected] * 100


async def test_a_message_is_made_once_for_all_who_follow(acme: AutoDevClient, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    batch_of = subscription.batch_of

    def counted(page: Page) -> Batch:
        made.append(len(page.records))
        return batch_of(page)

    monkeypatch.setattr(subscription, "batch_of", counted)
    async with contextlib.AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(following(acme)) for _ in range(50)]
        for number in range(5):
            await publish(acme, [failed(number)])
            assert all([len((await next_events(stream)).events) == 1 for stream in streams])
    assert sum(made) == 5
