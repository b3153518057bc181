"""Several gateways on one log: one order of events, wherever they are published and read."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import grpc
import pytest
import pytest_asyncio

from autodev.gateway.v1 import event_pb2
from autodev.gateway.v1 import event_service_pb2 as pb
from autodev_gateway import wire
from autodev_gateway.event_log import cursor_of
from autodev_gateway.event_log import log as event_log
from autodev_gateway.event_log.appending import Stamped
from autodev_gateway.event_log.model import Appended, Record
from autodev_gateway.event_log.store import EventStore
from autodev_gateway.groups.store import GroupStore
from autodev_runtime.errors import Unavailable
from autodev_runtime.migrations import upgrade
from autodev_sdk import AutoDevClient
from tests.integration.gateway.parts import (
    PATIENCE_S,
    Running,
    dead_letters,
    fail_all,
    failed,
    given_up,
    publish,
    read,
    started,
    working,
)
from tests.mesh import eventually
from tests.postgresql import Server
from tests.serving import refusal
from tests.storage import JETSTREAM_POSTGRESQL, POSTGRESQL, Storage

GATEWAYS = 3


pytestmark = pytest.mark.parametrize("storages", [POSTGRESQL, JETSTREAM_POSTGRESQL], indirect=True)


@pytest_asyncio.fixture
async def gateways(storage: Storage) -> AsyncIterator[list[Running]]:
    async with contextlib.AsyncExitStack() as stack:
        yield [await stack.enter_async_context(started(storage)) for _ in range(GATEWAYS)]


@pytest_asyncio.fixture
async def clients(gateways: list[Running]) -> AsyncIterator[list[AutoDevClient]]:
    async with contextlib.AsyncExitStack() as stack:
        yield [await stack.enter_async_context(gateway.client()) for gateway in gateways]


async def follow(client: AutoDevClient, count: int) -> list[event_pb2.Event]:
    return await read(client, count, at=pb.START_AT_EARLIEST)


async def test_everybody_sees_all_events_once_and_in_one_order(clients: list[AutoDevClient]) -> None:
    calls = [[failed(call * 5 + number) for number in range(5)] for call in range(60)]
    # Before, while and after they are published.
    early = [asyncio.ensure_future(follow(client, 300)) for client in clients]
    cursors = await asyncio.gather(
        *(publish(clients[number % GATEWAYS], events) for number, events in enumerate(calls))
    )
    seen = [*await asyncio.gather(*early), *[await follow(client, 300) for client in clients]]
    ids = [event.id for events in calls for event in events]
    expected = dict(zip((cursor for each in cursors for cursor in each), ids, strict=True))
    assert len(expected) == 300
    for events in seen:
        assert [(event.cursor, event.id) for event in events] == sorted(expected.items())


async def test_an_append_comes_after_all_that_are_done_and_no_two_after_the_same(storage: Storage) -> None:
    heads: list[int] = []
    places: list[int] = []

    async with storage.open("gateway") as one, storage.open("gateway") as other:
        await upgrade(one, "autodev_gateway")

        async def append(store: EventStore, number: int) -> None:
            def stamp(head: int) -> list[Stamped]:
                # Apart from every other, whatever came before.
                seq = (head // 1000 + 1) * 1000 + number
                heads.append(head)
                places.append(seq)
                record = Record(seq, wire.recorded(b"", cursor_of(seq), seq))
                return [Stamped(Appended(record, "acme", 20, "ada", ""), f"{number:036d}", None)]

            await store.append(stamp, 0)

        stores = EventStore(one), EventStore(other)
        await asyncio.gather(*(append(stores[number % 2], number) for number in range(40)))
    assert heads == [0, *places[:-1]]


async def test_gateways_may_start_at_the_same_time(storage: Storage) -> None:
    async with contextlib.AsyncExitStack() as stack:
        gateways = await asyncio.gather(*(stack.enter_async_context(started(storage)) for _ in range(4)))
        for gateway in gateways:
            async with gateway.client() as client:
                await publish(client, [failed(1)])


async def test_an_id_that_is_published_at_several_gateways_is_one_event(clients: list[AutoDevClient]) -> None:
    events = [failed(number) for number in range(20)]
    cursors = await asyncio.gather(*(publish(client, events) for client in clients * 3))
    assert len({tuple(each) for each in cursors}) == 1
    assert [event.id for event in await follow(clients[0], 20)] == [event.id for event in events]


async def test_a_cursor_of_one_gateway_is_good_at_once_at_another(clients: list[AutoDevClient]) -> None:
    for number in range(10):
        (cursor,) = await publish(clients[number % GATEWAYS], [failed(2 * number)])
        (later,) = await publish(clients[(number + 1) % GATEWAYS], [failed(2 * number + 1)])
        found = await read(clients[(number + 2) % GATEWAYS], 1, after_cursor=cursor)
        assert [event.cursor for event in found] == [later]


async def test_a_heartbeat_says_the_tenants_last_place_whichever_gateway_appended_there(
    storage: Storage, clients: list[AutoDevClient], gateways: list[Running]
) -> None:
    async def said(client: AutoDevClient) -> str:
        request = pb.SubscribeRequest(at=pb.START_AT_NOW)
        request.heartbeat_interval.FromMilliseconds(100)
        call = client.events.Subscribe(request)
        async with asyncio.timeout(PATIENCE_S):
            response = await anext(aiter(call))
        call.cancel()
        assert not response.events
        return response.head_cursor

    async with gateways[2].client("globex") as globex:
        for number in range(3):
            (own,) = await publish(clients[number % 2], [failed(number)])
            await publish(globex, [failed(number)])
            assert [await said(client) for client in clients] == [own] * GATEWAYS
    async with started(storage) as late, late.client() as client:
        assert await said(client) == own
        assert await said(clients[0]) == own


async def test_a_gateway_whose_clock_is_behind_appends_after_the_others(
    clients: list[AutoDevClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time_ns
    with monkeypatch.context() as ahead:
        ahead.setattr("autodev_gateway.event_log.appender.time.time_ns", lambda: now() + 3600 * 10**9)
        (first,) = await publish(clients[0], [failed(0)])
    (second,) = await publish(clients[1], [failed(1)])
    assert second > first
    assert [event.cursor for event in await follow(clients[2], 2)] == [first, second]


async def test_a_notice_wakes_subscribers_at_other_gateways(monkeypatch: pytest.MonkeyPatch, storage: Storage) -> None:
    monkeypatch.setattr(event_log, "POLL_S", 10 * PATIENCE_S)
    async with (
        started(storage) as one,
        started(storage) as other,
        one.client() as publisher,
        other.client() as subscriber,
    ):
        call = subscriber.events.Subscribe(pb.SubscribeRequest(at=pb.START_AT_NOW))
        await call.initial_metadata()
        await publish(publisher, [failed(1)])
        async with asyncio.timeout(PATIENCE_S):
            response = await anext(aiter(call))
        assert len(response.events) == 1
        call.cancel()


async def test_without_notices_events_come_a_moment_later(
    clients: list[AutoDevClient], storage: Storage, postgresql: Server
) -> None:
    await publish(clients[0], [failed(0)])
    assert storage.database is not None
    # On JetStream nobody listens there, and NATS loses no notice while its connection is up.
    listeners = "datname = current_database() AND query ILIKE 'LISTEN%'"
    await asyncio.to_thread(
        postgresql.execute,
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {listeners}",
        database=storage.database.name,
    )
    reading = asyncio.ensure_future(follow(clients[1], 2))
    await publish(clients[0], [failed(1)])
    assert len(await reading) == 2


async def test_what_one_gateway_deletes_is_no_gap_at_another(storage: Storage) -> None:
    # Nothing is kept in memory: everything is read from the database.
    async with (
        started(storage, retention_bytes=1) as one,
        started(storage, tail_bytes=0) as other,
        one.client() as publisher,
        other.client() as subscriber,
    ):
        cursors = await publish(publisher, [failed(number) for number in range(5)])
        assert len(await read(subscriber, 5, at=pb.START_AT_EARLIEST)) == 5
        await one.parts.log.sweep()
        call = subscriber.events.Subscribe(pb.SubscribeRequest(after_cursor=cursors[0]))
        refused = await refusal(anext(aiter(call)))
        assert (refused.code, refused.reason) == ("OUT_OF_RANGE", "CURSOR_EXPIRED")
        assert refused.metadata["oldest_cursor"] >= cursors[-2]


@contextlib.asynccontextmanager
async def swept_elsewhere(storage: Storage) -> AsyncIterator[tuple[AutoDevClient, event_pb2.Event]]:
    """A client of a gateway that has not heard what another one has deleted, and the only event that is kept."""
    async with (
        started(storage, retention_bytes=1) as one,
        started(storage, tail_bytes=0) as other,
        one.client() as publisher,
        other.client() as client,
    ):
        await publish(publisher, [failed(number) for number in range(5)])
        await one.parts.log.sweep()
        kept = failed(5)
        await publish(publisher, [kept])
        yield client, kept


async def test_a_subscriber_at_the_earliest_event_gets_what_is_kept_whichever_gateway_deleted(storage: Storage) -> None:
    async with swept_elsewhere(storage) as (client, kept):
        assert [event.id for event in await follow(client, 1)] == [kept.id]


async def test_a_group_at_the_earliest_event_misses_nothing_of_what_another_gateway_deleted(
    storage: Storage, caplog: pytest.LogCaptureFixture
) -> None:
    async with swept_elsewhere(storage) as (client, kept), working(client, at=pb.START_AT_EARLIEST) as worker:
        assert (await worker.next()).event.id == kept.id
    assert "past retention" not in caplog.text


async def test_a_group_is_served_by_one_gateway_and_by_another_when_that_is_gone(
    storage: Storage, gateways: list[Running], clients: list[AutoDevClient]
) -> None:
    await publish(clients[0], [failed(number) for number in range(4)])
    async with started(storage) as first, first.client() as client, working(client, max_in_flight=2) as worker:
        done = await worker.next()
        worker.acknowledge(done)
        for other in clients:
            refused = await refusal(joined(other))
            assert (refused.code, refused.reason) == ("UNAVAILABLE", "GROUP_ELSEWHERE")
        await worker.next()
    # The rest, with what the first worker held, comes at another gateway, and nowhere else.
    async with working(clients[1]) as worker:
        found = {(await worker.next()).event.task_failed.episode_id for _ in range(3)}
        assert found == {f"episode-{number}" for number in range(4)} - {done.event.task_failed.episode_id}
        assert (await refusal(joined(clients[2]))).reason == "GROUP_ELSEWHERE"


async def test_dead_letters_are_replayed_at_any_gateway(clients: list[AutoDevClient]) -> None:
    events = [failed(number) for number in range(3)]
    await publish(clients[0], events)
    async with working(clients[0]) as worker:
        await fail_all(worker, 3)
        letters = await given_up(clients[1], 3)
        chosen = pb.ReplayDeadLettersRequest(group="group", dead_letter_ids=[letters[1].id])
        assert (await clients[1].events.ReplayDeadLetters(chosen)).replayed == 1
        delivery = await worker.next()
        assert (delivery.event.id, delivery.attempt) == (events[1].id, 1)
        worker.acknowledge(delivery)
        # Nobody is asked twice, and what is on its way is no dead letter.
        assert (await clients[2].events.ReplayDeadLetters(chosen)).replayed == 0
        assert [letter.event.id for letter in await dead_letters(clients[2])] == [events[0].id, events[2].id]


async def test_a_group_is_deleted_at_any_gateway_once_its_workers_are_gone(
    clients: list[AutoDevClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autodev_gateway.groups.groups.DESERTED_S", 0.2)
    delete = pb.DeleteConsumerGroupRequest(group="group")
    async with working(clients[0]):
        assert (await refusal(clients[0].events.DeleteConsumerGroup(delete))).reason == "GROUP_IN_USE"
        assert (await refusal(clients[1].events.DeleteConsumerGroup(delete))).reason == "GROUP_ELSEWHERE"

    async def deleted() -> bool:
        try:
            await clients[1].events.DeleteConsumerGroup(delete)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
            return False
        return True

    await eventually(deleted, "the gateway that served it has given it back")
    for client in clients:
        assert (await refusal(client.events.DeleteConsumerGroup(delete))).code == "NOT_FOUND"


async def test_dead_letters_that_are_replayed_while_nobody_works_are_delivered_to_who_comes(storage: Storage) -> None:
    async with started(storage) as one, one.client() as client, working(client) as worker:
        await publish(client, [failed(1)])
        await fail_all(worker, 1)
        await given_up(client, 1)
    async with started(storage) as asked, asked.client() as client, started(storage) as other, other.client() as next_:
        everything = pb.ReplayDeadLettersRequest(group="group")
        assert (await client.events.ReplayDeadLetters(everything)).replayed == 1
        async with working(next_) as worker:
            assert (await worker.next()).attempt == 1


async def test_a_gateway_that_stops_leaves_its_groups_before_its_last_call_is_over(
    storage: Storage, clients: list[AutoDevClient]
) -> None:
    await publish(clients[0], [failed(number) for number in range(2)])
    stop, over = asyncio.Event(), asyncio.Event()
    begun: asyncio.Future[Running] = asyncio.get_running_loop().create_future()

    async def serve() -> None:
        async with started(storage, drain_s=2 * PATIENCE_S) as gateway:
            begun.set_result(gateway)
            await stop.wait()

    async def batches() -> AsyncIterator[pb.PublishStreamRequest]:
        yield pb.PublishStreamRequest(events=[failed(2)])
        await over.wait()

    stopping = asyncio.ensure_future(serve())
    async with (await begun).client() as client:
        answers = aiter(client.events.PublishStream(batches()))
        await anext(answers)
        async with working(client, max_in_flight=1) as worker:
            worker.acknowledge(await worker.next())
            held = await worker.next()
            stop.set()
            assert (await refusal(worker.next())).code == "UNAVAILABLE"

        async def first_of_another() -> str | None:
            with contextlib.suppress(grpc.aio.AioRpcError):
                async with working(clients[1]) as worker:
                    return (await worker.next()).event.id
            return None

        assert await eventually(first_of_another, "another gateway serves the group", PATIENCE_S) == held.event.id
        assert not stopping.done()
        over.set()
        assert await anext(answers, None) is None
    await stopping


async def joined(client: AutoDevClient) -> None:
    async with working(client) as worker:
        await worker.next()


async def test_a_gateway_that_loses_its_claims_ends_its_workers_and_they_join_again(
    storage: Storage, postgresql: Server
) -> None:
    async with started(storage) as gateway, gateway.client() as client:
        await publish(client, [failed(1)])
        async with working(client) as worker:
            await worker.next()
            assert storage.database is not None
            await asyncio.to_thread(postgresql.end_claims, storage.database.name)
            assert (await refusal(worker.next())).reason == "GROUP_ELSEWHERE"
        async with working(client) as worker:
            assert (await worker.next()).event.task_failed.episode_id == "episode-1"


async def test_whoever_asked_for_a_group_that_is_not_there_leaves_its_name_to_others(
    clients: list[AutoDevClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autodev_gateway.groups.groups.MAX_GROUPS", 0)
    assert (await refusal(joined(clients[1]))).reason == "TOO_MANY_GROUPS"
    monkeypatch.undo()
    async with working(clients[2]):
        assert (await refusal(joined(clients[0]))).reason == "GROUP_ELSEWHERE"


async def test_whoever_could_not_make_a_group_leaves_its_name_to_others(
    clients: list[AutoDevClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise Unavailable("the database is away", reason="DATABASE_UNAVAILABLE")

    with monkeypatch.context() as broken:
        broken.setattr(GroupStore, "create", away)
        assert (await refusal(joined(clients[0]))).reason == "DATABASE_UNAVAILABLE"
    async with working(clients[1]):
        assert (await refusal(joined(clients[0]))).reason == "GROUP_ELSEWHERE"
