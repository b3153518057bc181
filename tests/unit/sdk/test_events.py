"""What a worker says of an event, to a server that delivers one and keeps what is said of it."""

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from autodev.gateway.v1.event_service_pb2_grpc import EventServiceAsyncStub

PATIENCE_S = 10.0
FAILED = make_event(event_pb2.TaskEvent(episode_id="e-1", outcome=event_pb2.OUTCOME_FAILURE))


class Delivering(EventServiceServicer):
    """Delivers one event to whoever joins. Serves nothing else."""

    def __init__(self) -> None:
        self.said: asyncio.Queue[pb.ConsumeRequest] = asyncio.Queue()

    async def Consume(self, requests: AsyncIterator[pb.ConsumeRequest], context: Any) -> AsyncIterator[Any]:
        await anext(requests)
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
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await self.servicer.said.get()
        finally:
            await ended(running)


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
