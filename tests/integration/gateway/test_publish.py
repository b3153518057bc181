"""Publishing: acknowledged once it is on disk, in order, once an id."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest
from sqlalchemy import text

from autodev.gateway.v1 import event_pb2
from autodev.gateway.v1 import event_service_pb2 as pb
from autodev_runtime.identity import Identity, Role
from autodev_sdk import AutoDevClient, make_event, uuid7
from tests.integration.gateway.parts import PATIENCE_S, Running, failed, publish, ran, read, started, until
from tests.serving import refusal
from tests.storage import EVERY_LOG, Storage

pytestmark = EVERY_LOG


async def test_what_is_acknowledged_is_on_disk(storage: Storage, acme: AutoDevClient) -> None:
    events = [failed(number) for number in range(3)]
    cursors = await publish(acme, events)
    stored = await storage.events()
    assert [(event.id, event.cursor) for event in stored] == [
        (event.id, cursor) for event, cursor in zip(events, cursors, strict=True)
    ]


async def test_cursors_rise_with_each_event_and_each_call(acme: AutoDevClient) -> None:
    cursors = await publish(acme, [failed(1), failed(2)]) + await publish(acme, [failed(3)])
    assert cursors == sorted(set(cursors))


async def test_the_same_event_again_changes_nothing_and_gets_the_first_cursor(acme: AutoDevClient) -> None:
    first, second = failed(1), failed(2)
    cursors = await publish(acme, [first, second])
    changed = event_pb2.Event()
    changed.CopyFrom(first)
    changed.task_failed.error_trace = "another"
    again = await publish(acme, [changed, failed(3), second])
    assert [again[0], again[2]] == cursors
    assert [event.task_failed.episode_id for event in await read(acme, 3, at=pb.START_AT_EARLIEST)] == [
        "episode-1",
        "episode-2",
        "episode-3",
    ]


async def test_an_id_twice_in_one_call_is_one_event(acme: AutoDevClient) -> None:
    event = failed(1)
    assert len(set(await publish(acme, [event, event]))) == 1


async def test_tenants_may_have_the_same_ids(acme: AutoDevClient, globex: AutoDevClient) -> None:
    event = failed(1)
    (one,), (other,) = await publish(acme, [event]), await publish(globex, [event])
    assert one != other
    assert [each.tenant_id for each in await read(globex, 1, at=pb.START_AT_EARLIEST)] == ["globex"]


async def test_one_wrong_event_and_none_is_appended(acme: AutoDevClient) -> None:
    refused = await refusal(publish(acme, [failed(1), event_pb2.Event(id=uuid7())]))
    assert (refused.code, refused.fields) == ("INVALID_ARGUMENT", ["events[1]"])
    good = failed(2)
    await publish(acme, [good])
    assert [event.id for event in await read(acme, 1, at=pb.START_AT_EARLIEST)] == [good.id]


async def test_ids_are_answered_where_the_log_made_them(acme: AutoDevClient) -> None:
    event = failed(1)
    event.id = ""
    response = await acme.events.Publish(pb.PublishRequest(events=[event]))
    assert [each.id for each in await read(acme, 1, at=pb.START_AT_EARLIEST)] == list(response.event_ids)


async def test_an_agent_may_not_speak_for_the_mesh(acme: AutoDevClient) -> None:
    refused = await refusal(publish(acme, [make_event(event_pb2.SkillPromoted(skill_id="s-1"))]))
    assert (refused.code, refused.reason) == ("PERMISSION_DENIED", "SERVICE_EVENT")


async def test_a_service_publishes_for_any_tenant(gateway: Running, globex: AutoDevClient) -> None:
    promoted = make_event(event_pb2.SkillPromoted(skill_id="s-1"))
    promoted.tenant_id = "globex"
    async with gateway.service() as channel:
        await channel.unary_unary(
            "/autodev.gateway.v1.EventService/Publish",
            pb.PublishRequest.SerializeToString,
            pb.PublishResponse.FromString,
        )(pb.PublishRequest(events=[promoted]))
    assert [each.id for each in await read(globex, 1, at=pb.START_AT_EARLIEST)] == [promoted.id]


async def test_many_publishers_at_once_share_transactions(gateway: Running, acme: AutoDevClient) -> None:
    calls = [[failed(call * 10 + number) for number in range(10)] for call in range(100)]
    cursors = await asyncio.gather(*(publish(acme, events) for events in calls))
    assert all(list(each) == sorted(each) for each in cursors)
    stored = await read(acme, 1000, at=pb.START_AT_EARLIEST)
    assert {event.id for event in stored} == {event.id for events in calls for event in events}
    by_cursor = {event.cursor: event.id for event in stored}
    assert [by_cursor[cursor] for cursor in cursors[7]] == [event.id for event in calls[7]]


async def test_too_many_waiting_are_told_when_to_come_again(storage: Storage) -> None:
    async with started(storage, append_waiting_events=20) as gateway, gateway.client() as acme:
        await publish(acme, [failed(0)])
        async with storage.log_held():
            calls = [asyncio.ensure_future(publish(acme, [failed(number)])) for number in range(1, 60)]
            await until(lambda: any(call.done() for call in calls), "a publisher is refused")
        answers = await asyncio.gather(*calls, return_exceptions=True)
        refused = [call for call, answer in zip(calls, answers, strict=True) if isinstance(answer, BaseException)]
        assert refused
        assert len(refused) < len(calls)
        for call in refused:
            told = await refusal(call)
            assert (told.code, told.reason) == ("RESOURCE_EXHAUSTED", "LOG_BUSY")
            assert told.retry_after_s
        stored = await read(acme, len(calls) - len(refused) + 1, at=pb.START_AT_EARLIEST)
        assert len(stored) == len(calls) - len(refused) + 1


async def test_a_log_that_cannot_be_written_says_so_and_goes_on(storage: Storage, acme: AutoDevClient) -> None:
    await storage.alter("gateway", "ALTER TABLE events RENAME TO away")
    refused = await refusal(acme.events.Publish(pb.PublishRequest(events=[failed(1)]), timeout=PATIENCE_S))
    assert (refused.code, refused.reason) == ("UNAVAILABLE", "LOG_UNAVAILABLE")
    await storage.alter("gateway", "ALTER TABLE away RENAME TO events")
    again = failed(2)
    await publish(acme, [again])
    assert [event.id for event in await read(acme, 1, at=pb.START_AT_EARLIEST)] == [again.id]


async def test_a_stream_of_batches_is_answered_in_order(acme: AutoDevClient) -> None:
    batches = [[failed(batch * 3 + number) for number in range(3)] for batch in range(100)]

    async def spoken() -> AsyncIterator[pb.PublishStreamRequest]:
        for batch in batches:
            yield pb.PublishStreamRequest(events=batch)

    answers = [answer async for answer in acme.events.PublishStream(spoken())]
    assert [list(answer.event_ids) for answer in answers] == [[event.id for event in batch] for batch in batches]
    cursors = [cursor for answer in answers for cursor in answer.cursors]
    assert cursors == sorted(set(cursors))


async def test_requests_are_taken_by_keyword_as_stubs_have_it(acme: AutoDevClient) -> None:
    event, enough = failed(1), asyncio.Event()

    async def spoken() -> AsyncIterator[pb.PublishStreamRequest]:
        yield pb.PublishStreamRequest(events=[event])

    async def joined() -> AsyncIterator[pb.ConsumeRequest]:
        yield pb.ConsumeRequest(start=pb.ConsumeStart(group="group", at=pb.START_AT_EARLIEST))
        await enough.wait()

    answers = [answer async for answer in acme.events.PublishStream(request_iterator=spoken(), timeout=PATIENCE_S)]
    assert [list(answer.event_ids) for answer in answers] == [[event.id]]
    deliveries = acme.events.Consume(request_iterator=joined(), timeout=PATIENCE_S)
    assert [each.event.id for each in (await anext(aiter(deliveries))).deliveries] == [event.id]
    enough.set()
    listed = await acme.events.ListConsumerGroups(request=pb.ListConsumerGroupsRequest(), timeout=PATIENCE_S)
    assert [each.name for each in listed.groups] == ["group"]


async def test_a_stream_of_more_than_may_wait_is_slowed_down_and_not_refused(storage: Storage) -> None:
    async def spoken() -> AsyncIterator[pb.PublishStreamRequest]:
        for batch in range(50):
            yield pb.PublishStreamRequest(events=[failed(batch * 10 + number) for number in range(10)])

    async with started(storage, append_waiting_events=20) as gateway, gateway.client() as acme:
        answers = [answer async for answer in acme.events.PublishStream(spoken())]
        assert sum(len(answer.cursors) for answer in answers) == 500


async def test_a_wrong_batch_ends_the_stream_after_the_answers_before_it(acme: AutoDevClient) -> None:
    async def spoken() -> AsyncIterator[pb.PublishStreamRequest]:
        yield pb.PublishStreamRequest(events=[failed(1)])
        yield pb.PublishStreamRequest(events=[ran(""), failed(2)])

    answers: list[pb.PublishStreamResponse] = []

    async def listen() -> None:
        async for answer in acme.events.PublishStream(spoken()):
            answers.append(answer)

    refused = await refusal(listen())
    assert refused.code == "INVALID_ARGUMENT"
    assert len(answers) == 1
    stored = await read(acme, 1, at=pb.START_AT_EARLIEST)
    assert [event.id for event in stored] == list(answers[0].event_ids)


@pytest.mark.parametrize("roles", [frozenset[Role](), frozenset({Role.RUNTIME})])
async def test_a_caller_at_the_internal_door_that_is_no_service_is_held_to_the_same_rules(
    gateway: Running, roles: frozenset[Role]
) -> None:
    event = make_event(event_pb2.SkillPromoted(skill_id="s-1"))
    async with gateway.service(Identity("acme", "someone", roles)) as channel:
        call = channel.unary_unary(
            "/autodev.gateway.v1.EventService/Publish",
            pb.PublishRequest.SerializeToString,
            pb.PublishResponse.FromString,
        )
        refused = await refusal(call(pb.PublishRequest(events=[event])))
    assert refused.reason == "SERVICE_EVENT"


async def test_the_database_syncs_every_commit_whatever_its_own_default_is(storage: Storage) -> None:
    if storage.database is not None:
        name = storage.database.name
        storage.database.altered()
        await asyncio.to_thread(storage.database.server.execute, f"ALTER DATABASE {name} SET synchronous_commit = off")
    async with storage.open("gateway") as database:
        if database.is_sqlite:
            async with database.engine.connect() as connection:
                engines = (await connection.execute(text("PRAGMA synchronous"))).scalar()
            appends = await database.write_on_sqlite(lambda own: own.execute("PRAGMA synchronous").fetchone()[0])
            assert (engines, appends) == (2, 2)
            return
        async with database.engine.connect() as connection, database.driver() as driver:
            assert (await connection.execute(text("SHOW synchronous_commit"))).scalar() == "on"
            assert await driver.fetchval("SHOW synchronous_commit") == "on"


async def test_a_burst_of_calls_is_served_or_told_to_come_again(acme: AutoDevClient) -> None:
    # More than gRPC by itself lets wait for Python: it would cancel some, and say nothing of why.
    calls = [acme.events.Publish(pb.PublishRequest(events=[failed(number)])) for number in range(1500)]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, BaseException)]
    codes = {error.code() for error in refused if isinstance(error, grpc.aio.AioRpcError)}
    assert codes <= {grpc.StatusCode.RESOURCE_EXHAUSTED}, refused[:1]
    assert len(refused) < len(answers)
