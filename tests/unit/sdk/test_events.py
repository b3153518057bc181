"""What a worker says of an event, to a server that delivers one and keeps what is said of it."""

import asyncio
import functools
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, cast

import grpc
import pytest

from autodev.gateway.v1 import event_pb2
from autodev.gateway.v1 import event_service_pb2 as pb
from autodev.gateway.v1.event_service_pb2_grpc import (
    EventServiceServicer,
    EventServiceStub,
    add_EventServiceServicer_to_server,
)
from autodev_sdk import EventBus, make_event
from autodev_sdk.ending import ended
from autodev_sdk.events import UNHANDLED_RETRY_S, EventWorker, Handler

if TYPE_CHECKING:
    from autodev.gateway.v1.event_service_pb2_grpc import EventServiceAsyncStub

PATIENCE_S = 10.0
FAILED = make_event(event_pb2.TaskEvent(episode_id="e-1", outcome=event_pb2.OUTCOME_FAILURE))


class Delivering(EventServiceServicer):
    """Delivers one event to whoever joins. Serves nothing else."""

    def __init__(self) -> None:
        self.refusal: grpc.StatusCode | None = None
        self.said: asyncio.Queue[pb.ConsumeRequest] = asyncio.Queue()

    async def Consume(self, requests: AsyncIterator[pb.ConsumeRequest], context: Any) -> AsyncIterator[Any]:
        await anext(requests)
        if self.refusal is not None:
            await context.abort(self.refusal, "as the test says")
        yield pb.ConsumeResponse(deliveries=[pb.Delivery(delivery_id="d-1", event=FAILED, attempt=1)])
        async for request in requests:
            self.said.put_nowait(request)


class Connected:
    """The server, and a stub to it."""

    def __init__(self, servicer: Delivering, stub: "EventServiceAsyncStub") -> None:
        self.servicer = servicer
        self.stub = stub

    async def said_by(self, bus: EventBus) -> pb.ConsumeRequest:
        """What the bus says of the event."""
        running = asyncio.ensure_future(bus.run(self.stub))
        said = asyncio.ensure_future(self.servicer.said.get())
        try:
            await asyncio.wait([running, said], timeout=PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                running.result()
            return said.result()
        finally:
            await ended(running, said)


@pytest.fixture
async def connected() -> AsyncIterator[Connected]:
    server, servicer = grpc.aio.server(), Delivering()  # type: ignore[abstract]
    add_EventServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Connected(servicer, EventServiceStub(channel))
    await server.stop(None)


@pytest.fixture
def bus() -> EventBus:
    return EventBus("pager")


async def test_a_handler_whose_work_was_cancelled_did_not_handle_the_event(connected: Connected, bus: EventBus) -> None:
    @bus.on_task_fail
    async def waits(event: event_pb2.Event) -> None:
        work = asyncio.ensure_future(asyncio.sleep(PATIENCE_S))
        work.cancel()
        await work

    said = await connected.said_by(bus)
    assert said.reject.delivery_id == "d-1"


async def test_a_handler_that_fails_before_it_is_waited_for_stops_no_other(connected: Connected, bus: EventBus) -> None:
    ran: list[str] = []

    async def other(event: event_pb2.Event) -> None:
        ran.append("other")

    @functools.wraps(other)
    def plain(event: event_pb2.Event) -> None:
        raise ValueError("at once")

    bus.on_task_fail(cast(Handler, plain))
    bus.on_task_fail(other)
    said = await connected.said_by(bus)
    assert ran == ["other"]
    assert said.reject.error == "ValueError: at once"


async def test_each_handlers_error_is_told(
    connected: Connected, bus: EventBus, caplog: pytest.LogCaptureFixture
) -> None:
    @bus.on_task_fail
    async def one(event: event_pb2.Event) -> None:
        raise ValueError("boom")

    @bus.on_task_fail
    async def two(event: event_pb2.Event) -> None:
        raise KeyError("gone")

    said = await connected.said_by(bus)
    assert said.reject.error == "ValueError: boom; KeyError: 'gone'"
    assert "failed at try 1: ValueError: boom; KeyError: 'gone'" in caplog.text


async def test_an_error_that_quotes_what_an_agent_wrote_is_one_line_of_the_log(
    connected: Connected, bus: EventBus, caplog: pytest.LogCaptureFixture
) -> None:
    @bus.on_task_fail
    async def quotes(event: event_pb2.Event) -> None:
        raise ValueError("no such task: \r\nall is well\x1b[1A\x1b[2K")

    said = await connected.said_by(bus)
    assert said.reject.error == "ValueError: no such task: \r\nall is well\x1b[1A\x1b[2K"
    (told,) = [record.getMessage() for record in caplog.records if "failed at try 1" in record.getMessage()]
    assert told.endswith(r"ValueError: no such task: \r\nall is well\x1b[1A\x1b[2K")


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError("caf\udce9\0"), "ValueError: caf?"),
        (Unspeakable(), "Unspeakable: (its message cannot be made)"),
        (ValueError("x" * 10_000), "ValueError: " + "x" * 3_988),
    ],
)
async def test_an_error_of_any_message_gives_the_event_back(
    connected: Connected, bus: EventBus, error: Exception, told: str
) -> None:
    @bus.on_task_fail
    async def breaks(event: event_pb2.Event) -> None:
        raise error

    said = await connected.said_by(bus)
    assert (said.reject.delivery_id, said.reject.error) == ("d-1", told)


async def test_a_bus_without_handlers_takes_no_events(connected: Connected, bus: EventBus) -> None:
    with pytest.raises(ValueError, match="'pager' has no handlers"):
        await connected.said_by(bus)


@pytest.mark.parametrize("refusal", [grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNIMPLEMENTED])
async def test_who_can_never_join_is_told(connected: Connected, bus: EventBus, refusal: grpc.StatusCode) -> None:
    @bus.on_task_fail
    async def handles(event: event_pb2.Event) -> None: ...

    connected.servicer.refusal = refusal
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await connected.said_by(bus)
    assert caught.value.code() is refusal


async def test_an_event_of_a_kind_that_others_handle_comes_again_much_later(
    connected: Connected, bus: EventBus
) -> None:
    ran: list[str] = []

    @bus.on_task_success
    async def succeeded(event: event_pb2.Event) -> None:
        ran.append(event.id)

    said = await connected.said_by(bus)
    assert said.reject.delivery_id == "d-1"
    assert said.reject.retry_after.ToTimedelta().total_seconds() == UNHANDLED_RETRY_S
    assert "no handler for events of the kind task_failed" in said.reject.error
    assert not ran


async def test_a_handler_that_is_no_coroutine_function_is_refused(connected: Connected, bus: EventBus) -> None:
    def plain(event: event_pb2.Event) -> None: ...

    refused = cast(Handler, plain)
    for register in (bus.on(event_pb2.EVENT_TYPE_TASK_FAILED), bus.on_task_success, bus.on_skill_execution):
        with pytest.raises(TypeError, match=r"plain is no coroutine function: define it by `async def`"):
            register(refused)
    with pytest.raises(TypeError, match="plain is no coroutine function"):
        EventWorker(connected.stub, "pager", {event_pb2.EVENT_TYPE_TASK_FAILED: refused})


async def test_what_is_called_like_a_coroutine_function_is_a_handler(connected: Connected, bus: EventBus) -> None:
    ran: list[str] = []

    async def note(by: str, event: event_pb2.Event) -> None:
        ran.append(by)

    class Noting:
        async def __call__(self, event: event_pb2.Event) -> None:
            ran.append("object")

        async def method(self, event: event_pb2.Event) -> None:
            ran.append("method")

    for handler in (functools.partial(note, "partial"), Noting(), Noting().method):
        bus.on_task_fail(handler)
    said = await connected.said_by(bus)
    assert list(said.acknowledge.delivery_ids) == ["d-1"]
    assert sorted(ran) == ["method", "object", "partial"]
