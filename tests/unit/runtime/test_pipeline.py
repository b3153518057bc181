"""What every call goes through before it reaches a servicer, and after."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from prometheus_client import REGISTRY

from autodev.gateway.v1 import event_pb2
from autodev.gateway.v1 import event_service_pb2 as pb
from autodev.gateway.v1.event_service_pb2_grpc import EventServiceStub
from autodev_runtime.identity import ALL_TENANTS, Role
from autodev_runtime.settings import ServiceSettings
from autodev_sdk.events import make_event
from tests.serving import acting, refusal, serving
from tests.unit.runtime.conftest import BOUND, SECRET, Odd, served_by

if TYPE_CHECKING:
    from autodev.gateway.v1.event_service_pb2_grpc import EventServiceAsyncStub as Stub

LIST = "/autodev.gateway.v1.EventService/ListDeadLetters"


@pytest.fixture
def stub(channel: grpc.aio.Channel) -> "Stub":
    return EventServiceStub(acting(channel, "acme", Role.OPERATOR, Role.RUNTIME, subject="olga"))


def ask(group: str) -> pb.ListDeadLettersRequest:
    return pb.ListDeadLettersRequest(group=group)


def count(metric: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(metric, {"service": "test", "method": LIST, **labels}) or 0.0


async def entered(odd: Odd, calls: int) -> None:
    async with asyncio.timeout(10):
        for _ in range(calls):
            await odd.waiting.acquire()


async def drain(call: Any) -> int:
    """Read a stream to its end. Returns how many messages it had."""
    return len([response async for response in call])


async def test_a_servicer_knows_who_calls_and_the_callers_trace(stub: "Stub") -> None:
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    answer = await stub.ListDeadLetters(ask("g"), metadata=(("traceparent", f"00-{trace_id}-b7ad6b7169203331-01"),))
    assert answer.next_page_token == f"acme olga operator,runtime {trace_id}"


@pytest.mark.parametrize("traceparent", ["", "nonsense", "00-xyz-b7ad6b7169203331-01"])
async def test_a_call_without_a_trace_starts_one(stub: "Stub", traceparent: str) -> None:
    answer = await stub.ListDeadLetters(ask("g"), metadata=(("traceparent", traceparent),))
    assert re.fullmatch(r"acme olga operator,runtime [0-9a-f]{32}", answer.next_page_token)


async def test_a_call_without_a_tenant_reaches_nothing(channel: grpc.aio.Channel) -> None:
    nobody = EventServiceStub(channel)
    refused = await refusal(nobody.ListDeadLetters(ask("g")))
    assert (refused.code, refused.reason) == ("UNAUTHENTICATED", "UNAUTHENTICATED")
    assert (await refusal(drain(nobody.Subscribe(pb.SubscribeRequest())))).code == "UNAUTHENTICATED"


async def test_a_role_that_does_not_exist_is_none(channel: grpc.aio.Channel) -> None:
    stub = EventServiceStub(channel)
    metadata = (("autodev-tenant", "acme"), ("autodev-subject", "eve"), ("autodev-roles", "operator,emperor"))
    answer = await stub.ListDeadLetters(ask("g"), metadata=metadata)
    assert answer.next_page_token.startswith("acme eve operator ")


@pytest.mark.parametrize(
    "request_bytes",
    [b"\xff\xff\xff", b"\x0a\x05ab", b"\x0a\x02\xff\xfe"],
    ids=["garbage", "truncated", "a string that is no UTF-8"],
)
async def test_bytes_that_are_no_request_are_the_callers_fault(channel: grpc.aio.Channel, request_bytes: bytes) -> None:
    raw: Any = acting(channel, "acme").unary_unary(LIST)
    refused = await refusal(raw(request_bytes))
    assert (refused.code, refused.fields) == ("INVALID_ARGUMENT", ["request"])


async def test_a_field_that_breaks_its_rule_is_named(stub: "Stub") -> None:
    refused = await refusal(stub.ListDeadLetters(pb.ListDeadLettersRequest(group="a b", page_size=501)))
    assert (refused.code, refused.fields) == ("INVALID_ARGUMENT", ["group", "page_size"])


async def test_an_error_of_the_taxonomy_is_answered_with_its_details(stub: "Stub") -> None:
    refused = await refusal(stub.ListDeadLetters(ask("not-found")))
    assert (refused.code, refused.reason) == ("NOT_FOUND", "NOT_FOUND")
    assert refused.metadata == {"kind": "group", "id": "not-found"}


async def test_an_unexpected_exception_is_answered_by_an_incident_and_none_of_its_text(
    stub: "Stub", caplog: pytest.LogCaptureFixture
) -> None:
    refused = await refusal(stub.ListDeadLetters(ask("raise")))
    assert refused.code == "INTERNAL"
    assert SECRET not in refused.message
    assert "ValueError" not in refused.message
    incident = re.search(r"incident ([0-9a-f]{12})", refused.message)
    assert incident is not None
    (logged,) = [record for record in caplog.records if incident[1] in record.getMessage()]
    assert logged.exc_info is not None
    assert SECRET in str(logged.exc_info[1])


async def test_an_abort_by_the_servicer_itself_stands(stub: "Stub") -> None:
    refused = await refusal(stub.ListDeadLetters(ask("abort")))
    assert (refused.code, refused.message) == ("ABORTED", "by the servicer itself")


async def test_a_deadline_cancels_the_work(stub: "Stub", odd: Odd) -> None:
    refused = await refusal(stub.ListDeadLetters(ask("wait"), timeout=0.1))
    assert refused.code == "DEADLINE_EXCEEDED"
    async with asyncio.timeout(10):
        await odd.cancelled.wait()


async def test_a_caller_that_hangs_up_cancels_the_work(stub: "Stub", odd: Odd) -> None:
    call = stub.ListDeadLetters(ask("wait"))
    await entered(odd, 1)
    call.cancel()
    async with asyncio.timeout(10):
        await odd.cancelled.wait()


async def test_past_the_bound_calls_are_refused_and_told_when_to_try_again(stub: "Stub", odd: Odd) -> None:
    waiting = [asyncio.ensure_future(_answer(stub, "wait")) for _ in range(BOUND)]
    await entered(odd, BOUND)
    refused = await refusal(stub.ListDeadLetters(ask("g")))
    assert (refused.code, refused.reason, refused.retry_after_s) == ("RESOURCE_EXHAUSTED", "TOO_MANY_CALLS", 1.0)
    odd.go_on.set()
    await asyncio.gather(*waiting)
    await stub.ListDeadLetters(ask("g"))


async def _answer(stub: "Stub", group: str, page_token: str = "") -> pb.ListDeadLettersResponse:
    return await stub.ListDeadLetters(pb.ListDeadLettersRequest(group=group, page_token=page_token))


@contextlib.asynccontextmanager
async def bounded(odd: Odd, **bounds: Any) -> AsyncIterator[grpc.aio.Channel]:
    """A server with these bounds."""
    async with serving([served_by(odd)], ServiceSettings(port=0, drain_s=0, **bounds)) as opened:
        yield opened
        odd.go_on.set()


def caller(channel: grpc.aio.Channel, tenant: str, *roles: Role) -> "Stub":
    return EventServiceStub(acting(channel, tenant, *(roles or (Role.OPERATOR, Role.RUNTIME))))


@contextlib.asynccontextmanager
async def waiting_calls(stub: "Stub", odd: Odd, calls: int, page_token: str = "") -> AsyncIterator[None]:
    """Calls that are being served within the block."""
    waiting = [asyncio.ensure_future(_answer(stub, "wait", page_token)) for _ in range(calls)]
    await entered(odd, calls)
    yield
    odd.go_on.set()
    await asyncio.gather(*waiting)


async def test_one_tenant_leaves_places_to_the_others(odd: Odd) -> None:
    async with bounded(odd, max_calls_in_flight=4) as channel:
        acme, umbrella = caller(channel, "acme"), caller(channel, "umbrella")
        async with waiting_calls(acme, odd, 2):
            refused = await refusal(acme.ListDeadLetters(ask("g")))
            assert (refused.code, refused.reason, refused.retry_after_s) == (
                "RESOURCE_EXHAUSTED",
                "TOO_MANY_CALLS",
                1.0,
            )
            assert "2 calls of one workspace" in refused.message
            await umbrella.ListDeadLetters(ask("g"))
        await acme.ListDeadLetters(ask("g"))


async def test_a_service_that_works_for_all_tenants_is_held_to_no_share(odd: Odd) -> None:
    async with bounded(odd, max_calls_in_flight=4) as channel:
        service = caller(channel, ALL_TENANTS, Role.SERVICE)
        async with waiting_calls(service, odd, 4):
            assert (await refusal(service.ListDeadLetters(ask("g")))).reason == "TOO_MANY_CALLS"


async def test_streams_take_no_calls_place(odd: Odd) -> None:
    async with bounded(odd, max_calls_in_flight=1, max_streams_in_flight=2, tenant_share=1) as channel:
        stub = caller(channel, "acme")
        streams = [stub.Subscribe(pb.SubscribeRequest(after_cursor="forever")) for _ in range(2)]
        for stream in streams:
            await stream.read()
        await stub.ListDeadLetters(ask("g"))
        refused = await refusal(drain(stub.Subscribe(pb.SubscribeRequest())))
        assert (refused.code, refused.reason, refused.retry_after_s) == ("RESOURCE_EXHAUSTED", "TOO_MANY_CALLS", 1.0)
        streams[0].cancel()
        async with asyncio.timeout(10):
            await odd.cancelled.wait()
        assert await drain(stub.Subscribe(pb.SubscribeRequest())) == 3


async def test_one_tenant_leaves_streams_to_the_others(odd: Odd) -> None:
    async with bounded(odd, max_streams_in_flight=2) as channel:
        acme, umbrella = caller(channel, "acme"), caller(channel, "umbrella")
        await acme.Subscribe(pb.SubscribeRequest(after_cursor="forever")).read()
        assert (await refusal(drain(acme.Subscribe(pb.SubscribeRequest())))).reason == "TOO_MANY_CALLS"
        assert await drain(umbrella.Subscribe(pb.SubscribeRequest())) == 3


async def test_requests_in_flight_have_a_bound_in_bytes(odd: Odd) -> None:
    async with bounded(odd, max_request_bytes_in_flight=800) as channel:
        acme, umbrella = caller(channel, "acme"), caller(channel, "umbrella")
        large = "x" * 400
        async with waiting_calls(acme, odd, 1, large):
            refused = await refusal(acme.ListDeadLetters(ask("g")))
            assert (refused.code, refused.reason, refused.retry_after_s) == (
                "RESOURCE_EXHAUSTED",
                "TOO_MANY_CALLS",
                1.0,
            )
            assert "400 bytes of requests of one workspace" in refused.message
            async with waiting_calls(umbrella, odd, 1, large):
                refused = await refusal(caller(channel, "initech").ListDeadLetters(ask("g")))
                assert (refused.reason, refused.message) == ("TOO_MANY_CALLS", "800 bytes of requests are in flight")
        await acme.ListDeadLetters(ask("g"))


async def test_a_streams_requests_count_while_they_are_served(odd: Odd) -> None:
    events = [make_event(event_pb2.GuidanceIssued(guidance="x" * 900), agent_id="ada")]
    request = pb.PublishStreamRequest(events=events)
    async with bounded(odd, max_request_bytes_in_flight=800, tenant_share=1) as channel:
        stub = caller(channel, "acme")
        stream = stub.PublishStream()
        for _ in range(5):
            await stream.write(request)
            await stream.read()
        async with waiting_calls(stub, odd, 2, "x" * 400):
            await stream.write(request)
            assert (await refusal(stream.read())).reason == "TOO_MANY_CALLS"
        await stub.ListDeadLetters(ask("g"))


async def test_requests_that_were_refused_or_failed_give_their_bytes_back(odd: Odd) -> None:
    async with bounded(odd, max_request_bytes_in_flight=800) as channel:
        for group in ["raise", "not-found", "abort", "a b"] * 3:
            request = pb.ListDeadLettersRequest(group=group, page_token="x" * 400)
            assert (await refusal(caller(channel, "acme").ListDeadLetters(request))).reason != "TOO_MANY_CALLS"
            assert (await refusal(EventServiceStub(channel).ListDeadLetters(request))).code == "UNAUTHENTICATED"


async def test_refused_and_failed_calls_give_their_place_back(stub: "Stub") -> None:
    for group in ["raise", "not-found", "abort", "a b"] * BOUND:
        await refusal(stub.ListDeadLetters(ask(group)))
    await stub.ListDeadLetters(ask("g"))


async def test_every_call_is_counted_by_how_it_ended_and_timed(stub: "Stub") -> None:
    codes = {"OK": "g", "NOT_FOUND": "not-found", "INTERNAL": "raise", "INVALID_ARGUMENT": "a b", "ABORTED": "abort"}
    before = {code: count("autodev_rpc_calls_total", code=code) for code in codes}
    timed = count("autodev_rpc_seconds_count")
    for code, group in codes.items():
        if code == "OK":
            await stub.ListDeadLetters(ask(group))
        else:
            await refusal(stub.ListDeadLetters(ask(group)))
    assert {code: count("autodev_rpc_calls_total", code=code) - before[code] for code in codes} == dict.fromkeys(
        codes, 1
    )
    assert count("autodev_rpc_seconds_count") - timed == len(codes)


@pytest.mark.usefixtures("stub")
def test_a_replica_is_counted_before_any_call() -> None:
    assert REGISTRY.get_sample_value("autodev_service_replicas", {"service": "test"}) == 1


async def test_a_call_that_was_given_up_is_no_success(stub: "Stub", odd: Odd) -> None:
    before = {code: count("autodev_rpc_calls_total", code=code) for code in ("OK", "CANCELLED")}
    call = stub.ListDeadLetters(ask("wait"))
    await entered(odd, 1)
    call.cancel()
    async with asyncio.timeout(10):
        await odd.cancelled.wait()
    await stub.ListDeadLetters(ask("g"))
    assert count("autodev_rpc_calls_total", code="CANCELLED") - before["CANCELLED"] == 1
    assert count("autodev_rpc_calls_total", code="OK") - before["OK"] == 1


async def test_a_status_that_cannot_be_sent_any_more_is_no_incident(
    stub: "Stub", caplog: pytest.LogCaptureFixture
) -> None:
    before = count("autodev_rpc_calls_total", code="CANCELLED")
    assert (await refusal(stub.ListDeadLetters(ask("unsent"), timeout=0.5))).code == "DEADLINE_EXCEEDED"
    assert caplog.messages == []
    assert count("autodev_rpc_calls_total", code="CANCELLED") - before == 1


async def test_a_stream_knows_who_calls_at_every_step(stub: "Stub") -> None:
    tenants = [response.head_cursor async for response in stub.Subscribe(pb.SubscribeRequest())]
    assert tenants == ["acme"] * 3


@pytest.mark.parametrize(
    ("cursor", "code"), [("raise", "INTERNAL"), ("not-found", "NOT_FOUND"), ("late", "DEADLINE_EXCEEDED")]
)
async def test_a_stream_that_fails_says_so_after_what_it_sent(stub: "Stub", cursor: str, code: str) -> None:
    call = stub.Subscribe(pb.SubscribeRequest(after_cursor=cursor))
    for _ in range(3):
        assert await call.read() == pb.SubscribeResponse(head_cursor="acme")
    refused = await refusal(call.read())
    assert refused.code == code
    assert SECRET not in refused.message


async def test_a_stream_that_is_left_ends_its_work(stub: "Stub", odd: Odd) -> None:
    call = stub.Subscribe(pb.SubscribeRequest(after_cursor="forever"))
    for _ in range(3):
        await call.read()
    call.cancel()
    async with asyncio.timeout(10):
        await odd.cancelled.wait()


async def test_each_message_of_a_stream_is_checked(stub: "Stub") -> None:
    good = make_event(event_pb2.GuidanceIssued(guidance="rest"), agent_id="ada")
    bad = make_event(event_pb2.GuidanceIssued(guidance="rest"), agent_id="a b")
    call = stub.PublishStream()
    await call.write(pb.PublishStreamRequest(events=[good]))
    assert await call.read() == pb.PublishStreamResponse(event_ids=[good.id])
    await call.write(pb.PublishStreamRequest(events=[bad]))
    refused = await refusal(call.read())
    assert (refused.code, refused.fields) == ("INVALID_ARGUMENT", ["events[0].agent_id"])


async def test_a_message_past_the_bound_is_refused(stub: "Stub") -> None:
    guidance = event_pb2.GuidanceIssued(guidance="x" * 60_000)
    events = [make_event(guidance, agent_id="ada") for _ in range(150)]
    assert (await refusal(stub.Publish(pb.PublishRequest(events=events)))).code == "RESOURCE_EXHAUSTED"
