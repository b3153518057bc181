"""One call of EventService.Consume: a worker of a group."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from autodev.gateway.v1 import event_service_pb2 as pb
from autodev_gateway import wire
from autodev_gateway.filters import filter_from
from autodev_gateway.groups.groups import Groups, JoinOptions
from autodev_gateway.groups.runner import LEASE_S, MAX_IN_FLIGHT, MESSAGE_BYTES, GroupRunner, Worker
from autodev_gateway.groups.store import GroupKey
from autodev_gateway.streams import OpenStream, OpenStreams
from autodev_runtime.errors import InvalidArgument
from autodev_sdk.ending import ended

HEARTBEAT_S = 15.0


class ConsumeStream:
    """Leases events to one worker, and settles what it says."""

    def __init__(self, groups: Groups, streams: OpenStreams, tenant: str) -> None:
        self._groups = groups
        self._streams = streams
        self._tenant = tenant

    async def messages(self, requests: AsyncIterator[pb.ConsumeRequest], context: Any) -> AsyncGenerator[bytes]:
        """Serialised ConsumeResponses, until the worker says no more. Raises InvalidArgument, Unavailable."""
        start = await _start_of(requests)
        options = JoinOptions(filter_from(start.filter, "start.filter"), start.at == pb.START_AT_NOW)
        group = await self._groups.join(GroupKey(self._tenant, start.group), options)
        lease_s = start.lease.ToTimedelta().total_seconds() if start.HasField("lease") else LEASE_S
        with (
            group.worker(start.max_in_flight or MAX_IN_FLIGHT, lease_s) as worker,
            self._streams.opened(worker.wake.set) as stream,
        ):
            reader = asyncio.create_task(_settle(requests, group, worker, stream))
            reader.add_done_callback(lambda _: worker.wake.set())
            try:
                # Who waits for the call's metadata knows that it has joined.
                await context.send_initial_metadata(())
                async for message in self._leased(group, worker, reader, stream):
                    yield message
            finally:
                await ended(reader)

    async def _leased(
        self, group: GroupRunner, worker: Worker, reader: "asyncio.Task[None]", stream: OpenStream
    ) -> AsyncIterator[bytes]:
        while True:
            worker.wake.clear()
            group.check()
            while deliveries := group.take(worker, MESSAGE_BYTES):
                yield b"".join(
                    wire.delivery(lease.delivery_id, lease.attempt, record.sized) for lease, record in deliveries
                )
            if reader.done():
                reader.result()
                return
            # A worker in the midst of an event is not told to go: what it does would be done again elsewhere.
            stream.check(idle=group.idle(worker))
            if stream.overdue:
                worker.max_in_flight = 0
            try:
                async with asyncio.timeout(HEARTBEAT_S):
                    await worker.wake.wait()
            except TimeoutError:
                yield b""


async def _start_of(requests: AsyncIterator[pb.ConsumeRequest]) -> pb.ConsumeStart:
    first = await anext(requests, None)
    if first is None or first.WhichOneof("action") != "start":
        raise InvalidArgument.field("start", "must come first")
    return first.start


async def _settle(
    requests: AsyncIterator[pb.ConsumeRequest], group: GroupRunner, worker: Worker, stream: OpenStream
) -> None:
    async for request in requests:
        if stream.due:
            worker.wake.set()
        match request.WhichOneof("action"):
            case "acknowledge":
                group.acknowledge(worker, request.acknowledge.delivery_ids)
            case "reject":
                reject = request.reject
                retry_s = reject.retry_after.ToTimedelta().total_seconds() if reject.HasField("retry_after") else None
                group.reject(worker, reject.delivery_id, reject.error, retry_s)
            case "extend":
                group.extend(worker, request.extend.delivery_ids)
            case "start":
                raise InvalidArgument.field("start", "may come once only")
            case _:
                raise InvalidArgument.field("action", "is required")
