"""Working through the log in groups: every event is settled by somebody, or becomes a dead letter."""

import asyncio
import contextlib
import json
import logging
from typing import Any

import pytest

from autodev.gateway.v1 import event_pb2
from autodev.gateway.v1 import event_service_pb2 as pb
from autodev.gateway.v1.event_service_pb2_grpc import EventServiceStub
from autodev_gateway.groups import ledger
from autodev_runtime.identity import service_identity
from autodev_runtime.mesh import worker
from autodev_runtime.telemetry import LogFormat, log_formatter
from autodev_runtime.tracing import new_trace, tracing_as
from autodev_sdk import AutoDevClient, EventBus, EventWorker
from autodev_sdk.events import Handler
from autodev_sdk.events import working as sdk_working
from tests.integration.gateway.parts import (
    PATIENCE_S,
    OverChannel,
    Running,
    WorkerStream,
    dead_letters,
    fail_all,
    failed,
    given_up,
    publish,
    ran,
    started,
    until,
    working,
)
from tests.serving import refusal
from tests.storage import EVERY_LOG, Storage

pytestmark = EVERY_LOG

TRACE_ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
RUNS = pb.EventFilter(types=[event_pb2.EVENT_TYPE_SKILL_EXECUTED])


async def test_a_worker_gets_every_event_once_in_order(acme: AutoDevClient) -> None:
    events = [failed(number) for number in range(50)]
    await publish(acme, events)
    async with working(acme) as worker:
        deliveries = []
        for _ in events:
            deliveries.append(await worker.next())
            worker.acknowledge(deliveries[-1])
    assert [each.event.id for each in deliveries] == [event.id for event in events]
    assert {each.attempt for each in deliveries} == {1}
    assert all(each.event.cursor and each.event.tenant_id == "acme" for each in deliveries)


async def test_workers_of_a_group_share_and_groups_do_not(acme: AutoDevClient) -> None:
    events = [failed(number) for number in range(60)]
    seen: dict[str, list[str]] = {"one": [], "two": [], "other": []}

    async def work(name: str, worker: WorkerStream) -> None:
        while True:
            delivery = await worker.next()
            seen[name].append(delivery.event.id)
            worker.acknowledge(delivery)

    async with (
        working(acme, "group", max_in_flight=4) as one,
        working(acme, "group", max_in_flight=4) as two,
        working(acme, "other") as other,
    ):
        tasks = [
            asyncio.create_task(work(name, worker)) for name, worker in (("one", one), ("two", two), ("other", other))
        ]
        await publish(acme, events)
        await until(lambda: sum(map(len, seen.values())) >= 120, "all is delivered")
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    everything = sorted(event.id for event in events)
    assert sorted(seen["one"] + seen["two"]) == everything
    assert sorted(seen["other"]) == everything
    assert seen["one"]
    assert seen["two"]


async def test_no_more_than_asked_for_is_in_flight(acme: AutoDevClient) -> None:
    await publish(acme, [failed(number) for number in range(5)])
    async with working(acme, max_in_flight=2) as worker, working(acme, max_in_flight=1) as other:
        held = [await worker.next(), await worker.next()]
        single = await other.next()
        assert {each.event.task_failed.episode_id for each in (*held, single)} == {
            "episode-0",
            "episode-1",
            "episode-2",
        }
        worker.acknowledge(held[0])
        assert (await worker.next()).event.task_failed.episode_id == "episode-3"


async def test_a_worker_that_reads_before_it_settles_gets_all_that_it_asked_for(acme: AutoDevClient) -> None:
    # More than may wait for a worker that does not read.
    events = [failed(number, code="x" * 60_000) for number in range(100)]
    for start in range(0, 100, 25):
        await publish(acme, events[start : start + 25])
    async with working(acme, max_in_flight=100, at=pb.START_AT_EARLIEST) as worker:
        assert [(await worker.next()).event.id for _ in events] == [event.id for event in events]


async def test_where_a_new_group_starts_and_an_old_one_goes_on(acme: AutoDevClient) -> None:
    await publish(acme, [failed(1)])
    async with working(acme, "late", at=pb.START_AT_NOW) as worker:
        second = failed(2)
        await publish(acme, [second])
        delivery = await worker.next()
        assert delivery.event.id == second.id
        worker.acknowledge(delivery)
        worker.finish()
        with pytest.raises(StopAsyncIteration):
            await worker.next()
    third = failed(3)
    await publish(acme, [third])
    async with working(acme, "late", at=pb.START_AT_EARLIEST) as worker:
        assert (await worker.next()).event.id == third.id


async def test_a_group_takes_only_what_its_filter_passes(acme: AutoDevClient) -> None:
    runs = [ran("s-1"), ran("s-2")]
    await publish(acme, [failed(1), runs[0], failed(2), runs[1]])
    async with working(acme, filter=RUNS) as worker:
        assert [(await worker.next()).event.id for _ in runs] == [run.id for run in runs]


async def test_a_worker_that_joins_with_another_filter_changes_the_groups(acme: AutoDevClient) -> None:
    async with working(acme, filter=RUNS) as worker:
        await publish(acme, [ran("s-1")])
        unwanted = await worker.next()
    failures = pb.EventFilter(types=[event_pb2.EVENT_TYPE_TASK_FAILED])
    async with working(acme, filter=failures) as worker:
        event = failed(1)
        await publish(acme, [ran("s-2"), event])
        delivery = await worker.next()
    # What was on its way and is no longer wanted is settled, not delivered.
    assert delivery.event.id == event.id != unwanted.event.id


async def test_a_lost_workers_events_go_to_another(acme: AutoDevClient) -> None:
    await publish(acme, [failed(1), failed(2)])
    async with working(acme) as lost:
        first = [await lost.next(), await lost.next()]
    async with working(acme) as worker:
        again = [await worker.next(), await worker.next()]
    assert [each.event.id for each in again] == [each.event.id for each in first]
    assert [each.attempt for each in again] == [2, 2]
    assert {each.delivery_id for each in again}.isdisjoint(each.delivery_id for each in first)


async def test_a_lease_that_passes_delivers_again_and_the_late_acknowledgement_counts_for_nothing(
    acme: AutoDevClient,
) -> None:
    await publish(acme, [failed(1)])
    async with working(acme, lease_s=0.2, max_in_flight=1) as worker:
        first = await worker.next()
        second = await worker.next()
        assert (second.event.id, second.attempt) == (first.event.id, 2)
        worker.acknowledge(first)
        third = await worker.next()
        assert third.attempt == 3
        worker.acknowledge(third)
        await publish(acme, [failed(2)])
        assert (await worker.next()).event.task_failed.episode_id == "episode-2"


async def test_a_lease_that_is_extended_holds(acme: AutoDevClient) -> None:
    await publish(acme, [failed(1)])
    async with working(acme, lease_s=2) as worker:
        delivery = await worker.next()
        extend = pb.ConsumeRequest(extend=pb.ExtendLease(delivery_ids=[delivery.delivery_id]))
        again = asyncio.create_task(worker.next())
        # Often enough for a busy machine, and for longer than the lease.
        for _ in range(10):
            worker.say(extend)
            done, _ = await asyncio.wait({again}, timeout=0.3)
            assert not done
        # Nobody extends it now.
        assert (await again).attempt == 2


async def test_a_rejected_event_comes_again_after_a_second_by_default(acme: AutoDevClient) -> None:
    await publish(acme, [failed(1)])
    async with working(acme) as worker:
        clock = asyncio.get_running_loop().time
        worker.reject(await worker.next(), retry_s=None)
        began = clock()
        assert (await worker.next()).attempt == 2
        assert 0.8 < clock() - began < 10


async def test_five_failures_make_a_dead_letter_and_others_are_not_held_up(acme: AutoDevClient) -> None:
    poison, healthy = failed(1), failed(2)
    await publish(acme, [poison])
    async with working(acme) as worker:
        await fail_all(worker, 1)
        await publish(acme, [healthy])
        delivery = await worker.next()
        assert delivery.event.id == healthy.id
        worker.acknowledge(delivery)
        (letter,) = await dead_letters(acme)
    assert (letter.event.id, letter.attempts, letter.error) == (poison.id, 5, "boom at try 5")
    assert letter.dead_at.ToMicroseconds() >= letter.event.recorded_at.ToMicroseconds()


async def test_an_event_that_kills_every_worker_kills_twenty_only(
    acme: AutoDevClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "LONGEST_CUT_RETRY_S", 0.1)
    await publish(acme, [failed(1)])
    for attempt in range(1, 21):
        async with working(acme) as worker:
            assert (await worker.next()).attempt == attempt
    [letter] = await given_up(acme, 1)
    assert "worker" in letter.error


async def test_dead_letters_are_paged_and_replayed(acme: AutoDevClient) -> None:
    events = [failed(number) for number in range(5)]
    await publish(acme, events)
    async with working(acme) as worker:
        await fail_all(worker, 5)
        await given_up(acme, 5)
        found: list[pb.DeadLetter] = []
        token = ""
        while not found or token:
            request = pb.ListDeadLettersRequest(group="group", page_size=2, page_token=token)
            page = await acme.events.ListDeadLetters(request)
            assert len(page.dead_letters) <= 2
            found += page.dead_letters
            token = page.next_page_token
        assert [letter.event.id for letter in found] == [event.id for event in events]

        chosen = pb.ReplayDeadLettersRequest(group="group", dead_letter_ids=[found[1].id, found[3].id])
        assert (await acme.events.ReplayDeadLetters(chosen)).replayed == 2
        for letter in (found[1], found[3]):
            delivery = await worker.next()
            assert (delivery.event.id, delivery.attempt) == (letter.event.id, 1)
            worker.acknowledge(delivery)
        assert (await acme.events.ReplayDeadLetters(chosen)).replayed == 0
        assert (await acme.events.ReplayDeadLetters(pb.ReplayDeadLettersRequest(group="group"))).replayed == 3
        for _ in range(3):
            worker.acknowledge(await worker.next())
        assert await dead_letters(acme) == []


@pytest.mark.parametrize("identifier", ["", "x", "f" * 17])
async def test_what_is_no_dead_letters_id_is_refused(acme: AutoDevClient, identifier: str) -> None:
    request = pb.ReplayDeadLettersRequest(group="group", dead_letter_ids=[identifier])
    told = await refusal(acme.events.ReplayDeadLetters(request))
    assert (told.code, told.fields) == ("INVALID_ARGUMENT", ["dead_letter_ids[0]"])


async def test_a_services_dead_letters_are_shown_and_replayed_to_the_tenant_whose_events_they_are(
    gateway: Running, acme: AutoDevClient, globex: AutoDevClient
) -> None:
    mine, theirs, more = failed(1), failed(2), failed(3)
    group = "learning.memento"
    async with gateway.service() as channel, working(OverChannel(channel), group) as worker:
        await publish(acme, [mine])
        await publish(globex, [theirs])
        await publish(acme, [more])
        await fail_all(worker, 3)
        await given_up(acme, 2, group)
        assert [letter.event.id for letter in await dead_letters(acme, group)] == [mine.id, more.id]
        [other] = await dead_letters(globex, group)
        assert other.event.id == theirs.id

        stolen = pb.ReplayDeadLettersRequest(group=group, dead_letter_ids=[other.id])
        assert (await acme.events.ReplayDeadLetters(stolen)).replayed == 0
        assert (await acme.events.ReplayDeadLetters(pb.ReplayDeadLettersRequest(group=group))).replayed == 2
        again = [await worker.next(), await worker.next()]
        assert [(each.event.id, each.attempt) for each in again] == [(mine.id, 1), (more.id, 1)]
        assert await dead_letters(acme, group) == []
        assert len(await dead_letters(globex, group)) == 1


async def test_a_tenant_discards_its_own_dead_letters_of_a_services_group(
    gateway: Running, acme: AutoDevClient, globex: AutoDevClient
) -> None:
    group = "learning.memento"
    async with gateway.service() as channel, working(OverChannel(channel), group) as worker:
        await publish(acme, [failed(1), failed(2)])
        await publish(globex, [failed(3)])
        await fail_all(worker, 3)
        first, second = await given_up(acme, 2, group)
        (other,) = await given_up(globex, 1, group)
        theirs = pb.DiscardDeadLettersRequest(group=group, dead_letter_ids=[first.id, other.id])
        assert (await acme.events.DiscardDeadLetters(theirs)).discarded == 1
        assert [letter.id for letter in await dead_letters(acme, group)] == [second.id]
        everything = pb.DiscardDeadLettersRequest(group=group, all=True)
        assert (await acme.events.DiscardDeadLetters(everything)).discarded == 1
        assert await dead_letters(acme, group) == []
        assert len(await dead_letters(globex, group)) == 1
        # The group itself is the mesh's.
        for client in (acme, globex):
            delete = pb.DeleteConsumerGroupRequest(group=group)
            assert (await refusal(client.events.DeleteConsumerGroup(delete))).code == "NOT_FOUND"
            assert not (await client.events.ListConsumerGroups(pb.ListConsumerGroupsRequest())).groups


@pytest.mark.parametrize("start", [pb.START_AT_NOW, pb.START_AT_EARLIEST])
async def test_a_groups_position_tells_nothing_of_other_tenants(
    acme: AutoDevClient, globex: AutoDevClient, start: "pb.StartAt.ValueType"
) -> None:
    async def position() -> str:
        (group,) = (await acme.events.ListConsumerGroups(pb.ListConsumerGroupsRequest())).groups
        return group.position_cursor

    (own,) = await publish(acme, [failed(1)])
    await publish(globex, [failed(2)])
    async with working(acme, at=start) as worker:
        if start == pb.START_AT_EARLIEST:
            worker.acknowledge(await worker.next())
        assert await position() == own
        (own,) = await publish(acme, [failed(3)])
        await publish(globex, [failed(4)])
        worker.acknowledge(await worker.next())
        assert await position() == own


async def test_groups_are_listed_page_by_page(acme: AutoDevClient) -> None:
    for name in ("b", "a", "c"):
        async with working(acme, name, filter=pb.EventFilter(agent_ids=["ada"])):
            pass
    first = await acme.events.ListConsumerGroups(pb.ListConsumerGroupsRequest(page_size=2))
    rest = pb.ListConsumerGroupsRequest(page_size=2, page_token=first.next_page_token)
    second = await acme.events.ListConsumerGroups(rest)
    assert [group.name for group in (*first.groups, *second.groups)] == ["a", "b", "c"]
    assert list(first.groups[0].filter.agent_ids) == ["ada"]
    assert (bool(first.next_page_token), second.next_page_token) == (True, "")


@pytest.mark.parametrize("stated", [{}, {"dead_letter_ids": ["0" * 16], "all": True}])
async def test_what_to_discard_is_named_in_one_way(acme: AutoDevClient, stated: dict[str, Any]) -> None:
    request = pb.DiscardDeadLettersRequest(group="group", **stated)
    told = await refusal(acme.events.DiscardDeadLetters(request))
    assert (told.code, told.fields) == ("INVALID_ARGUMENT", ["dead_letter_ids"])


async def test_a_group_that_is_empty_is_told_from_one_that_is_not_there(acme: AutoDevClient) -> None:
    async with working(acme, "there"):
        pass
    assert await dead_letters(acme, "there") == []
    assert (await acme.events.ReplayDeadLetters(pb.ReplayDeadLettersRequest(group="there"))).replayed == 0
    for call in (
        acme.events.ListDeadLetters(pb.ListDeadLettersRequest(group="nonesuch")),
        acme.events.ReplayDeadLetters(pb.ReplayDeadLettersRequest(group="nonesuch")),
    ):
        assert (await refusal(call)).code == "NOT_FOUND"


async def test_another_tenants_group_of_the_same_name_is_another(acme: AutoDevClient, globex: AutoDevClient) -> None:
    await publish(acme, [failed(1)])
    async with working(acme) as worker:
        await fail_all(worker, 1)
        assert len(await dead_letters(acme)) == 1
    for call in (
        globex.events.ListDeadLetters(pb.ListDeadLettersRequest(group="group")),
        globex.events.ReplayDeadLetters(pb.ReplayDeadLettersRequest(group="group")),
    ):
        assert (await refusal(call)).code == "NOT_FOUND"
    own = failed(2)
    await publish(globex, [own])
    async with working(globex) as worker:
        assert (await worker.next()).event.id == own.id


async def test_a_group_goes_on_where_it_was_when_the_gateway_starts_again(storage: Storage) -> None:
    events = [failed(number) for number in range(4)]
    async with started(storage) as gateway, gateway.client() as acme:
        await publish(acme, events)
        async with working(acme) as worker:
            deliveries = [await worker.next() for _ in range(4)]
            worker.acknowledge(deliveries[0], deliveries[2])
            worker.reject(deliveries[3], "later", 600)
            worker.finish()
            with pytest.raises(StopAsyncIteration):
                await worker.next()
    async with started(storage) as gateway, gateway.client() as acme, working(acme) as worker:
        again = [await worker.next(), await worker.next()]
        assert [(each.event.id, each.attempt) for each in again] == [(events[1].id, 2), (events[3].id, 2)]


async def test_retention_keeps_what_a_group_has_not_settled(storage: Storage) -> None:
    async with started(storage, retention_bytes=1) as gateway, gateway.client() as acme:
        events = [failed(number) for number in range(3)]
        await publish(acme, events)
        async with working(acme) as worker:
            await fail_all(worker, 3)
            assert len(await dead_letters(acme)) == 3
            later = failed(9)
            await publish(acme, [later])
            delivery = await worker.next()
            await acme.events.ListDeadLetters(pb.ListDeadLettersRequest(group="group"))
            assert await gateway.parts.log.sweep() == 0
            worker.reject(delivery)
            assert (await worker.next()).event.id == later.id
            assert (await acme.events.ReplayDeadLetters(pb.ReplayDeadLettersRequest(group="group"))).replayed == 3
            assert {(await worker.next()).event.id for _ in events} == {event.id for event in events}


async def test_a_group_whose_events_are_past_retention_goes_on_with_what_is_kept(storage: Storage) -> None:
    async with started(storage, retention_bytes=1) as gateway, gateway.client() as acme:
        async with working(acme):
            pass
        await publish(acme, [failed(number) for number in range(10)])
        assert await gateway.parts.log.sweep() == 10
        kept = failed(11)
        await publish(acme, [kept])
        async with working(acme) as worker:
            assert (await worker.next()).event.id == kept.id


def starting(group: str, *types: event_pb2.EventType.ValueType) -> pb.ConsumeRequest:
    return pb.ConsumeRequest(start=pb.ConsumeStart(group=group, filter=pb.EventFilter(types=types)))


@pytest.mark.parametrize(
    ("requests", "field"),
    [
        ([pb.ConsumeRequest(acknowledge=pb.Acknowledge(delivery_ids=["x"]))], "start"),
        ([pb.ConsumeRequest()], "start"),
        ([starting("g"), starting("g")], "start"),
        ([starting("g"), pb.ConsumeRequest()], "action"),
        ([starting("")], "start.group"),
        ([starting("g", event_pb2.EVENT_TYPE_UNSPECIFIED)], "start.filter.types"),
    ],
)
async def test_what_a_worker_must_not_say(acme: AutoDevClient, requests: list[pb.ConsumeRequest], field: str) -> None:
    async def spoken() -> Any:
        for request in requests:
            yield request
        await asyncio.Event().wait()

    async def listen() -> None:
        async for _ in acme.events.Consume(spoken()):
            pass

    told = await refusal(asyncio.wait_for(listen(), PATIENCE_S))
    assert (told.code, told.fields) == ("INVALID_ARGUMENT", [field])


async def test_settling_what_one_does_not_hold_changes_nothing(acme: AutoDevClient) -> None:
    await publish(acme, [failed(1)])
    async with working(acme, max_in_flight=1) as holder:
        delivery = await holder.next()
        async with working(acme) as other:
            other.acknowledge(delivery)
            other.reject(delivery)
            other.say(pb.ConsumeRequest(extend=pb.ExtendLease(delivery_ids=["nonsense", delivery.delivery_id])))
            other.finish()
            with pytest.raises(StopAsyncIteration):
                await other.next()
        holder.reject(delivery)
        assert (await holder.next()).attempt == 2


async def test_a_tenant_has_a_bounded_number_of_groups(acme: AutoDevClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autodev_gateway.groups.groups.MAX_GROUPS", 2)
    for name in ("a", "b", "a"):
        async with working(acme, name):
            pass

    async def third() -> None:
        async with working(acme, "c") as worker:
            await worker.next()

    told = await refusal(third())
    assert (told.code, told.reason) == ("RESOURCE_EXHAUSTED", "TOO_MANY_GROUPS")


async def test_a_services_worker_sees_every_tenants_events(
    gateway: Running, acme: AutoDevClient, globex: AutoDevClient
) -> None:
    seen: list[tuple[str, str]] = []

    async def note(event: event_pb2.Event) -> None:
        seen.append((event.tenant_id, event.id))

    events = [failed(1), failed(2)]
    async with gateway.service() as channel:
        worker = EventWorker(
            EventServiceStub(channel),
            "learning.reflection",
            {event_pb2.EVENT_TYPE_TASK_FAILED: note},
            metadata=service_identity("learning").metadata(),
        )
        async with sdk_working(worker):
            await publish(acme, [events[0]])
            await publish(globex, [events[1], ran("s-1")])
            await until(lambda: len(seen) == 2, "both tenants' events are handled")
    assert seen == [("acme", events[0].id), ("globex", events[1].id)]


async def test_what_failed_is_told_with_the_events_own_trace_and_tenant(
    gateway: Running, acme: AutoDevClient, caplog: pytest.LogCaptureFixture
) -> None:
    async def breaks(event: event_pb2.Event) -> None:
        raise ValueError("boom")

    event = failed(1)
    request = pb.PublishRequest(events=[event])
    await acme.events.Publish(request, metadata=(("traceparent", f"00-{TRACE_ID}-{SPAN_ID}-01"),))

    def told() -> list[logging.LogRecord]:
        return [record for record in caplog.records if f"event {event.id}" in record.getMessage()]

    async with gateway.service() as channel:
        handlers = {event_pb2.EVENT_TYPE_TASK_FAILED: breaks}
        # Also where what runs beside it, as a service's own work, is part of another trace.
        with tracing_as(new_trace()):
            async with sdk_working(worker(channel, "learning", "learning.reflection", handlers)):
                await until(lambda: bool(told()), "the failure is told")
    record = told()[0]
    assert f"event {event.id} of trace {TRACE_ID} failed at try 1: ValueError: boom" in record.getMessage()
    line = json.loads(log_formatter("learning", LogFormat.JSON).format(record))
    assert (line["trace_id"], line["tenant"]) == (TRACE_ID, "acme")


async def test_a_handlers_exception_stops_no_other_and_the_event_comes_again(acme: AutoDevClient) -> None:
    bus = EventBus("pager")
    calls: list[str] = []

    @bus.on_task_fail
    async def breaks(event: event_pb2.Event) -> None:
        calls.append("breaks")
        if calls.count("breaks") == 1:
            raise ValueError("boom")

    @bus.on_task_fail
    async def works(event: event_pb2.Event) -> None:
        calls.append("works")

    task = asyncio.create_task(bus.run(acme.events))
    await publish(acme, [failed(1)])
    await until(lambda: calls.count("works") == 2, "the event came again")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert calls.count("breaks") == 2


async def test_thousands_of_events_pass_quickly_through_many_workers(acme: AutoDevClient) -> None:
    events = [failed(number) for number in range(3000)]
    for start in range(0, 3000, 500):
        await publish(acme, events[start : start + 500])
    seen: list[str] = []

    async def note(event: event_pb2.Event) -> None:
        seen.append(event.id)

    handlers: dict[event_pb2.EventType.ValueType, Handler] = {event_pb2.EVENT_TYPE_TASK_FAILED: note}
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(4):
            await stack.enter_async_context(sdk_working(EventWorker(acme.events, "group", handlers)))
        await until(lambda: len(seen) >= 3000, "all is handled")
    assert sorted(seen) == sorted(event.id for event in events)


async def test_a_worker_leaves_nothing_behind_of_the_streams_that_ended(storage: Storage) -> None:
    handled = asyncio.Event()

    async def handle(event: event_pb2.Event) -> None:
        handled.set()

    handlers: dict[Any, Handler] = {event_pb2.EVENT_TYPE_TASK_FAILED: handle}
    async with started(storage) as gateway, gateway.client() as client:
        await publish(client, [failed(1)])
        async with sdk_working(EventWorker(client.events, "group", handlers)):
            await handled.wait()
            assert gateway.parts.public.on_drain is not None
            gateway.parts.public.on_drain()
            await until(lambda: _readers() == 0, "no reader is left")


def _readers() -> int:
    """Tasks of gRPC's that wait for what a worker has to say."""
    names = [getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks()]
    return names.count("_StreamRequestMixin._consume_request_iterator")
