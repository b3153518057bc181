"""A server with every kind of call, on the runtime's bootstrap and a real socket."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest_asyncio

from autodev.gateway.v1 import event_service_pb2 as pb
from autodev.gateway.v1.event_service_pb2_grpc import EventServiceServicer, add_EventServiceServicer_to_server
from autodev_runtime.errors import NotFound
from autodev_runtime.identity import current_identity
from autodev_runtime.server import Served
from autodev_runtime.settings import ServiceSettings
from autodev_runtime.tracing import current_trace
from tests.serving import serving

SECRET = "the password is swordfish"
BOUND = 3


class Odd(EventServiceServicer):
    """Does what the request's group, or first event's agent, asks for."""

    def __init__(self) -> None:
        self.waiting = asyncio.Semaphore(0)
        self.go_on = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def ListDeadLetters(self, request: pb.ListDeadLettersRequest, context: Any) -> pb.ListDeadLettersResponse:
        match request.group:
            case "wait":
                self.waiting.release()
                try:
                    await self.go_on.wait()
                except asyncio.CancelledError:
                    self.cancelled.set()
                    raise
            case "raise":
                raise ValueError(SECRET)
            case "not-found":
                raise NotFound("group", "not-found")
            case "abort":
                await context.abort(grpc.StatusCode.ABORTED, "by the servicer itself")
            case "unsent":
                # As `context.abort` does where the caller leaves at that very moment.
                raise grpc.aio.InternalError("the status cannot be sent")
        trace = current_trace()
        caller = current_identity()
        token = f"{caller.tenant} {caller.subject} {','.join(sorted(caller.roles))} {trace.trace_id if trace else ''}"
        return pb.ListDeadLettersResponse(next_page_token=token)

    async def Subscribe(self, request: pb.SubscribeRequest, context: Any) -> AsyncIterator[pb.SubscribeResponse]:
        for _ in range(3):
            await asyncio.sleep(0)
            yield pb.SubscribeResponse(head_cursor=current_identity().tenant)
        if request.after_cursor == "raise":
            raise ValueError(SECRET)
        if request.after_cursor == "not-found":
            raise NotFound("cursor", "not-found")
        if request.after_cursor == "late":
            raise TimeoutError
        if request.after_cursor == "forever":
            try:
                await self.go_on.wait()
            finally:
                self.cancelled.set()

    async def PublishStream(self, requests: Any, context: Any) -> AsyncIterator[pb.PublishStreamResponse]:
        async for request in requests:
            yield pb.PublishStreamResponse(event_ids=[event.id for event in request.events])

    async def Publish(self, request: pb.PublishRequest, context: Any) -> pb.PublishResponse:
        return pb.PublishResponse()

    async def Consume(self, requests: Any, context: Any) -> AsyncIterator[pb.ConsumeResponse]:
        async for _ in requests:
            yield pb.ConsumeResponse()

    async def ReplayDeadLetters(self, request: Any, context: Any) -> pb.ReplayDeadLettersResponse:
        return pb.ReplayDeadLettersResponse()

    async def DiscardDeadLetters(self, request: Any, context: Any) -> pb.DiscardDeadLettersResponse:
        return pb.DiscardDeadLettersResponse()

    async def ListConsumerGroups(self, request: Any, context: Any) -> pb.ListConsumerGroupsResponse:
        return pb.ListConsumerGroupsResponse()

    async def DeleteConsumerGroup(self, request: Any, context: Any) -> pb.DeleteConsumerGroupResponse:
        return pb.DeleteConsumerGroupResponse()


def served_by(odd: Odd) -> Served:
    return Served("autodev.gateway.v1.EventService", lambda server: add_EventServiceServicer_to_server(odd, server))


@pytest_asyncio.fixture
async def odd() -> Odd:
    return Odd()


@pytest_asyncio.fixture
async def channel(odd: Odd) -> AsyncIterator[grpc.aio.Channel]:
    settings = ServiceSettings(port=0, drain_s=0, max_calls_in_flight=BOUND, tenant_share=1, default_timeout_s=30)
    async with serving([served_by(odd)], settings) as opened:
        yield opened
        odd.go_on.set()
