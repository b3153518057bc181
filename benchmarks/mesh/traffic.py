"""What publishers and subscribers do in the measurements, through the Python client."""

import asyncio
import itertools
import os
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

from autodev.gateway.v1 import event_pb2
from autodev.gateway.v1.event_service_pb2 import PublishRequest, PublishStreamRequest, SubscribeRequest
from autodev_sdk import AutoDevClient, make_event

EVENT_BYTES = 1024
EVENTS_A_CALL = 10
CALLS_IN_FLIGHT = 64
STREAMS = 4
BATCH_EVENTS = 256
SUBSCRIBE = "/autodev.gateway.v1.EventService/Subscribe"


def event() -> event_pb2.Event:
    """An event of 1 KiB that compresses no better than text does."""
    execution = event_pb2.SkillExecutionEvent(
        execution_id="execution-1", agent_id="agent-1", skill_id="skill-1", execution_seconds=0.5, success=True
    )
    made = make_event(execution, agent_id="agent-1", correlation_id="experiment-1")
    made.skill_executed.output = os.urandom(EVENT_BYTES // 2).hex()[: EVENT_BYTES - made.ByteSize() - 8]
    return made


async def publish(client: AutoDevClient, count: int) -> float:
    """Publish so many events. Returns how many were on disk a second."""
    calls = [PublishRequest(events=[event() for _ in range(EVENTS_A_CALL)]) for _ in range(count // EVENTS_A_CALL)]
    waiting = iter(calls)

    async def one_after_the_other() -> None:
        for request in waiting:
            await client.events.Publish(request, timeout=60)

    started = time.perf_counter()
    await asyncio.gather(*(one_after_the_other() for _ in range(CALLS_IN_FLIGHT)))
    return count / (time.perf_counter() - started)


async def publish_stream(client: AutoDevClient, count: int) -> float:
    """The same over a few streams, with as many batches not acknowledged yet in all."""
    batches = [
        PublishStreamRequest(events=[event() for _ in range(EVENTS_A_CALL)]) for _ in range(count // EVENTS_A_CALL)
    ]
    waiting = iter(batches)

    async def one_stream() -> None:
        call = client.events.PublishStream()
        unanswered = 0
        for batch in waiting:
            if unanswered == CALLS_IN_FLIGHT // STREAMS:
                await call.read()
                unanswered -= 1
            await call.write(batch)
            unanswered += 1
        await call.done_writing()
        while unanswered:
            await call.read()
            unanswered -= 1

    started = time.perf_counter()
    await asyncio.gather(*(one_stream() for _ in range(STREAMS)))
    return count / (time.perf_counter() - started)


async def follow(clients: Sequence[AutoDevClient], start: SubscribeRequest, count: int) -> float:
    """Read so many events in each of these clients. Returns how many came a second, in all."""
    start.max_batch_events = BATCH_EVENTS

    async def one(client: AutoDevClient) -> None:
        stream = client.events.Subscribe(start)
        received = 0
        async for response in stream:
            received += len(response.events)
            if received >= count:
                break
        stream.cancel()

    started = time.perf_counter()
    await asyncio.gather(*map(one, clients))
    return len(clients) * count / (time.perf_counter() - started)


async def fan_out(clients: Sequence[AutoDevClient], after: str, through: str, count: int) -> float:
    """Read so many events, between two cursors, in each of these clients, unparsed. Returns how many a second in all.

    The clock starts once every stream is open and its first message is there; what came until then is not counted.
    """
    request = SubscribeRequest(after_cursor=after, max_batch_events=BATCH_EVENTS)
    calls: list[Any] = [
        client.channel.unary_stream(SUBSCRIBE, request_serializer=SubscribeRequest.SerializeToString)(request)
        for client in clients
    ]
    streams = [aiter(call) for call in calls]
    await asyncio.gather(*map(anext, streams))

    async def drain(stream: AsyncIterator[bytes]) -> None:
        async for message in stream:
            # The cursor is what a message ends with.
            if message.endswith(through.encode()):
                return

    started = time.perf_counter()
    await asyncio.gather(*map(drain, streams))
    seconds = time.perf_counter() - started
    for call in calls:
        call.cancel()
    return len(clients) * (count - BATCH_EVENTS) / seconds


async def latencies(client: AutoDevClient, rate: float, seconds: float) -> list[float]:
    """Seconds from a publisher's call to a subscriber's receipt, of single events published at a steady rate.

    The rate is kept whatever the answers do: a call that is due is made, and its time counts from when it was due.
    """
    due: dict[str, float] = {}
    taken: list[float] = []
    count = int(rate * seconds)
    stream = client.events.Subscribe(SubscribeRequest())
    await stream.initial_metadata()

    async def read() -> None:
        async for response in stream:
            now = time.perf_counter()
            taken.extend(now - due.pop(each.id) for each in response.events if each.id in due)
            if len(taken) >= count:
                return

    reader = asyncio.create_task(read())
    calls = []
    started = time.perf_counter()
    for number in itertools.count():
        if number == count:
            break
        at = started + number / rate
        if (wait := at - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        made = event()
        due[made.id] = at
        calls.append(asyncio.ensure_future(client.events.Publish(PublishRequest(events=[made]), timeout=60)))
    await asyncio.gather(*calls)
    await asyncio.wait_for(reader, 30)
    stream.cancel()
    return taken
