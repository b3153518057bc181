"""One call of EventService.Subscribe."""

import asyncio
import contextlib
import time
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from autodev.gateway.v1 import event_service_pb2 as pb
from autodev_gateway import metrics
from autodev_gateway.event_log import EventLog, PageBounds, cursor_of, seq_of
from autodev_gateway.event_log.subscription import Batch, Broadcast, Subscription
from autodev_gateway.filters import filter_from
from autodev_gateway.streams import OpenStreams
from autodev_runtime.errors import OutOfRange, ResourceExhausted
from autodev_runtime.identity import ALL_TENANTS

BATCH_EVENTS = 256
HEARTBEAT_S = 15.0
GAPS_AT_ONCE = 1000


class SubscribeStream:
    """Sends one subscriber its events."""

    def __init__(self, log: EventLog, broadcast: Broadcast, streams: OpenStreams) -> None:
        self._log = log
        self._broadcast = broadcast
        self._streams = streams

    async def send(self, request: pb.SubscribeRequest, tenant: str, context: Any, stall_s: float) -> None:
        """Send until the subscriber goes. Raises InvalidArgument, OutOfRange, ResourceExhausted, Unavailable."""
        heartbeat_s = _heartbeat_s(request)
        bounds = PageBounds(request.max_batch_events or BATCH_EVENTS)
        wanted = filter_from(request.filter, "filter")
        # Another gateway may have given the cursor.
        await self._log.catch_up()
        sent = await self._start(request, tenant)
        earliest = request.at == pb.START_AT_EARLIEST
        gaps = self._log.gaps(tenant, from_start=sent if earliest else None)
        subscription = Subscription(self._broadcast, tenant, sent, wanted, bounds)
        with (
            self._log.listening(tenant, subscription.wake),
            self._streams.opened(subscription.stop) as stream,
            metrics.SUBSCRIBERS.track_inprogress(),
            contextlib.closing(subscription),
        ):
            # Who waits for the call's metadata knows that events appended from now on will come.
            await context.send_initial_metadata(())
            batch = await (
                self._first(subscription, tenant, heartbeat_s) if earliest else subscription.next(heartbeat_s)
            )
            while True:
                stream.check()
                for each in _told(gaps.after(sent), sent) if tenant == ALL_TENANTS else ():
                    await _write(context, each, stall_s)
                await _write(context, batch, stall_s)
                sent = max(sent, batch.through)
                metrics.SENT.inc(batch.events)
                batch = await subscription.next(heartbeat_s)

    async def _first(self, subscription: Subscription, tenant: str, heartbeat_s: float) -> Batch:
        """The first message to who wants what is kept, and so misses nothing of what was deleted a moment ago."""
        while True:
            try:
                return await subscription.next(heartbeat_s)
            except OutOfRange:
                subscription.position = self._log.oldest(tenant)

    async def _start(self, request: pb.SubscribeRequest, tenant: str) -> int:
        match request.WhichOneof("start"):
            case "after_cursor":
                # By the head alone a tenant could search for when others published.
                newest = max(self._log.head, time.time_ns() // 1000)
                return seq_of(request.after_cursor, newest, "after_cursor")
            case "at_time":
                # Places are times of recording.
                return max(0, request.at_time.ToMicroseconds() - 1)
            case "at" if request.at == pb.START_AT_EARLIEST:
                return await self._log.earliest(tenant)
        return await self._log.last(tenant)


def _heartbeat_s(request: pb.SubscribeRequest) -> float:
    if not request.HasField("heartbeat_interval"):
        return HEARTBEAT_S
    interval: timedelta = request.heartbeat_interval.ToTimedelta()
    return interval.total_seconds()


def _told(gaps: Mapping[str, int], sent: int) -> Iterator[Batch]:
    """Messages that say which tenants' events are gone."""
    told = [pb.Gap(tenant_id=tenant, oldest_cursor=cursor_of(through)) for tenant, through in gaps.items()]
    for start in range(0, len(told), GAPS_AT_ONCE):
        message = pb.SubscribeResponse(head_cursor=cursor_of(sent), gaps=told[start : start + GAPS_AT_ONCE])
        yield Batch(message.SerializeToString(), sent, 0)


async def _write(context: Any, batch: Batch, stall_s: float) -> None:
    """Hand the message to the connection, which takes it once the subscriber has read enough of those before.

    Raises ResourceExhausted (SUBSCRIBER_TOO_SLOW) when that takes too long. The message still arrives before the
    error, if the subscriber reads on: the cursor is the one after it.
    """
    try:
        async with asyncio.timeout(stall_s):
            await context.write(batch.message)
    except TimeoutError:
        metrics.SLOW.inc()
        raise ResourceExhausted(
            f"a message was not read for {stall_s:g} s; read what has come and resume after `cursor`",
            reason="SUBSCRIBER_TOO_SLOW",
            metadata={"cursor": cursor_of(batch.through)},
        ) from None
