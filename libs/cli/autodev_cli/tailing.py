"""Where the last events of a log begin, found from its end: a log may hold years."""

import contextlib
from datetime import UTC, datetime, timedelta

from autodev.gateway.v1 import event_service_pb2 as pb
from autodev_sdk import AutoDevClient
from autodev_sdk.events import follow

CAUGHT_UP_MS = 200
"""So long after its last event, a log is taken to hold no more for now."""
FIRST_SPAN = timedelta(seconds=10)
WIDER = 8
"""By how much a span grows that held too few. Each waits for CAUGHT_UP_MS, and ten of them are 42 years."""


async def start_of_last(mesh: AutoDevClient, wanted: pb.EventFilter, count: int, now: datetime) -> datetime | None:
    """A time since when so many events were recorded, or a few times as many; None for the log's beginning."""
    began = await _beginning(mesh)
    span = FIRST_SPAN
    while began is not None and now - span > began:
        if await _holds(mesh, wanted, count, now - span):
            return now - span
        span *= WIDER
    return None


async def _beginning(mesh: AutoDevClient) -> datetime | None:
    """When the log's oldest event was recorded; None where it holds none."""
    request = pb.SubscribeRequest(at=pb.START_AT_EARLIEST, max_batch_events=1)
    request.heartbeat_interval.FromMilliseconds(CAUGHT_UP_MS)
    async with contextlib.aclosing(follow(mesh.events, request)) as answers:
        async for answer in answers:
            return answer.events[0].recorded_at.ToDatetime(UTC) if answer.events else None
    return None


async def _holds(mesh: AutoDevClient, wanted: pb.EventFilter, count: int, since: datetime) -> bool:
    """Whether so many events were recorded since."""
    request = pb.SubscribeRequest(filter=wanted, max_batch_events=min(count, 1024))
    request.at_time.FromDatetime(since)
    request.heartbeat_interval.FromMilliseconds(CAUGHT_UP_MS)
    found = 0
    async with contextlib.aclosing(follow(mesh.events, request)) as answers:
        async for answer in answers:
            found += len(answer.events)
            if found >= count or not answer.events:
                break
    return found >= count
