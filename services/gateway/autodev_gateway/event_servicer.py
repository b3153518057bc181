"""EventService: protobuf to the event log and the consumer groups, and back."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import grpc

from autodev.gateway.v1 import event_service_pb2 as pb
from autodev_gateway import wire
from autodev_gateway.audit.acts import ActRecorder
from autodev_gateway.consume_stream import ConsumeStream
from autodev_gateway.event_log import EventLog, Record, cursor_of, seq_of
from autodev_gateway.event_log.subscription import Broadcast
from autodev_gateway.filters import filter_to
from autodev_gateway.groups.groups import Groups
from autodev_gateway.groups.store import GroupKey, ListedGroup, StoredDeadLetter
from autodev_gateway.publish_stream import PublishStream
from autodev_gateway.publishing import drafts_of
from autodev_gateway.streams import OpenStreams
from autodev_gateway.subscribe_stream import SubscribeStream
from autodev_runtime.errors import InvalidArgument
from autodev_runtime.identity import current_identity, current_tenant
from autodev_runtime.paging import key_from, page_of, page_size
from autodev_runtime.spans import publishing
from autodev_runtime.tracing import current_trace

NAME = pb.DESCRIPTOR.services_by_name["EventService"].full_name
LARGEST_SEQ = 2**63 - 1


@dataclass(frozen=True, slots=True)
class EventBounds:
    """What one caller may use."""

    max_event_bytes: int = 1024 * 1024
    subscriber_stall_s: float = 10.0
    """How long a subscriber may leave a message unread while the connection holds no more."""


@dataclass(frozen=True, slots=True)
class EventParts:
    """What the service is made of."""

    log: EventLog
    broadcast: Broadcast
    groups: Groups
    streams: OpenStreams
    acts: ActRecorder


class EventServicer:
    """Serves the caller's tenant; for a service of the mesh that acts for all, every tenant's events."""

    def __init__(self, parts: EventParts, bounds: EventBounds) -> None:
        self._parts = parts
        self._bounds = bounds

    def add_to(self, server: grpc.aio.Server) -> None:
        """Serve the methods. Subscribe and Consume answer with bytes: stored events joined, never parsed."""
        handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            "Publish": grpc.unary_unary_rpc_method_handler(
                self.Publish, pb.PublishRequest.FromString, pb.PublishResponse.SerializeToString
            ),
            "PublishStream": grpc.stream_stream_rpc_method_handler(
                self.PublishStream, pb.PublishStreamRequest.FromString, pb.PublishStreamResponse.SerializeToString
            ),
            "Subscribe": grpc.unary_stream_rpc_method_handler(self.Subscribe, pb.SubscribeRequest.FromString),
            "Consume": grpc.stream_stream_rpc_method_handler(self.Consume, pb.ConsumeRequest.FromString),
            "ListDeadLetters": grpc.unary_unary_rpc_method_handler(
                self.ListDeadLetters, pb.ListDeadLettersRequest.FromString, pb.ListDeadLettersResponse.SerializeToString
            ),
            "ReplayDeadLetters": grpc.unary_unary_rpc_method_handler(
                self.ReplayDeadLetters,
                pb.ReplayDeadLettersRequest.FromString,
                pb.ReplayDeadLettersResponse.SerializeToString,
            ),
            "DiscardDeadLetters": grpc.unary_unary_rpc_method_handler(
                self.DiscardDeadLetters,
                pb.DiscardDeadLettersRequest.FromString,
                pb.DiscardDeadLettersResponse.SerializeToString,
            ),
            "ListConsumerGroups": grpc.unary_unary_rpc_method_handler(
                self.ListConsumerGroups,
                pb.ListConsumerGroupsRequest.FromString,
                pb.ListConsumerGroupsResponse.SerializeToString,
            ),
            "DeleteConsumerGroup": grpc.unary_unary_rpc_method_handler(
                self.DeleteConsumerGroup,
                pb.DeleteConsumerGroupRequest.FromString,
                pb.DeleteConsumerGroupResponse.SerializeToString,
            ),
        }
        server.add_registered_method_handlers(NAME, handlers)

    async def Publish(self, request: pb.PublishRequest, context: Any) -> pb.PublishResponse:
        """Append events."""
        with publishing(len(request.events), current_trace()) as trace:
            publisher = current_identity()
            drafts = drafts_of(request.events, publisher, trace, self._bounds.max_event_bytes)
            await self._parts.acts.record(drafts, publisher)
            seqs = await self._parts.log.append(drafts)
        return pb.PublishResponse(cursors=map(cursor_of, seqs), event_ids=[draft.event_id for draft in drafts])

    async def PublishStream(
        self, requests: AsyncIterator[pb.PublishStreamRequest], context: Any
    ) -> AsyncIterator[pb.PublishStreamResponse]:
        """Append batches as they come, some ahead of their answers."""
        stream = PublishStream(self._parts.log, self._parts.acts, self._bounds.max_event_bytes)
        async with contextlib.aclosing(stream.answers(requests)) as answers:
            async for answer in answers:
                yield answer

    async def Subscribe(self, request: pb.SubscribeRequest, context: Any) -> AsyncIterator[bytes]:
        """Follow the log."""
        stream = SubscribeStream(self._parts.log, self._parts.broadcast, self._parts.streams)
        await stream.send(request, current_tenant(), context, self._bounds.subscriber_stall_s)
        return
        # Messages are written by `context`, which can tell how long they stay unread; this makes a generator all the
        # same, as the pipeline expects of a streaming method.
        yield b""

    async def Consume(self, requests: AsyncIterator[pb.ConsumeRequest], context: Any) -> AsyncIterator[bytes]:
        """Work through a group's events."""
        stream = ConsumeStream(self._parts.groups, self._parts.streams, current_tenant())
        async with contextlib.aclosing(stream.messages(requests, context)) as messages:
            async for message in messages:
                yield message

    async def ListDeadLetters(self, request: pb.ListDeadLettersRequest, context: Any) -> pb.ListDeadLettersResponse:
        """A page of dead letters."""
        key = key_from(request.page_token, int)
        size = page_size(request.page_size)
        group = GroupKey(current_tenant(), request.group)
        found = await self._parts.groups.dead_letters.listed(group, int(key[0]) if key else 0, size + 1)
        letters, token = page_of(found, size, _dead_letter, lambda last: [last[0].seq])
        return pb.ListDeadLettersResponse(dead_letters=letters, next_page_token=token)

    async def ReplayDeadLetters(
        self, request: pb.ReplayDeadLettersRequest, context: Any
    ) -> pb.ReplayDeadLettersResponse:
        """Deliver dead letters again."""
        group = GroupKey(current_tenant(), request.group)
        chosen = _seqs_of(request.dead_letter_ids) or None
        return pb.ReplayDeadLettersResponse(replayed=await self._parts.groups.dead_letters.replay(group, chosen))

    async def DiscardDeadLetters(
        self, request: pb.DiscardDeadLettersRequest, context: Any
    ) -> pb.DiscardDeadLettersResponse:
        """Forget dead letters."""
        if request.all == bool(request.dead_letter_ids):
            raise InvalidArgument.field("dead_letter_ids", "is required, or `all`, and not both")
        group = GroupKey(current_tenant(), request.group)
        chosen = None if request.all else _seqs_of(request.dead_letter_ids)
        return pb.DiscardDeadLettersResponse(discarded=await self._parts.groups.dead_letters.discard(group, chosen))

    async def ListConsumerGroups(
        self, request: pb.ListConsumerGroupsRequest, context: Any
    ) -> pb.ListConsumerGroupsResponse:
        """A page of the tenant's groups."""
        key = key_from(request.page_token, str)
        size = page_size(request.page_size)
        found = await self._parts.groups.listed(current_tenant(), str(key[0]) if key else "", size + 1)
        groups, token = page_of(found, size, _group, lambda last: [last.name])
        return pb.ListConsumerGroupsResponse(groups=groups, next_page_token=token)

    async def DeleteConsumerGroup(
        self, request: pb.DeleteConsumerGroupRequest, context: Any
    ) -> pb.DeleteConsumerGroupResponse:
        """Delete a group."""
        await self._parts.groups.delete(GroupKey(current_tenant(), request.group))
        return pb.DeleteConsumerGroupResponse()


def _dead_letter(found: tuple[StoredDeadLetter, Record]) -> pb.DeadLetter:
    stored, record = found
    letter = pb.DeadLetter(id=cursor_of(stored.seq), attempts=stored.attempts, error=stored.error)
    letter.event.ParseFromString(wire.unsized(record.sized))
    letter.dead_at.FromMicroseconds(stored.dead_us)
    return letter


def _seqs_of(dead_letter_ids: Sequence[str]) -> list[int]:
    return [seq_of(each, LARGEST_SEQ, f"dead_letter_ids[{index}]") for index, each in enumerate(dead_letter_ids)]


def _group(listed: ListedGroup) -> pb.ConsumerGroup:
    return pb.ConsumerGroup(
        name=listed.name,
        filter=filter_to(listed.wanted),
        position_cursor=cursor_of(listed.position),
        unsettled=listed.unsettled,
        dead_letters=listed.dead,
    )
