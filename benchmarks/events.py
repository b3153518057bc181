"""The event log's throughput: `python -m benchmarks.events`.

Publishing: calls of ten 1 KiB events, 64 in flight, each acknowledged once it is on disk. Delivery: one subscriber
reads what was published, from memory (the end of the log) and from the database (its start). The denominator of
delivery is a bare stream of the same grpc library in the same run: a server process that sends the same bytes,
ready-made, over and over, and a client that does not even parse them.
"""

import asyncio
import contextlib
import multiprocessing
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc

from autodev.gateway.v1 import event_pb2
from autodev.gateway.v1.event_service_pb2 import (
    START_AT_EARLIEST,
    PublishRequest,
    SubscribeRequest,
    SubscribeResponse,
)
from autodev_sdk import AutoDevClient, make_event
from autodev_sdk.channel import channel_options
from tests.mesh import HOST, Mesh, free_ports

EVENT_BYTES = 1024
EVENTS_A_CALL = 10
CALLS_IN_FLIGHT = 64
PUBLISHED = 60_000
BATCH_EVENTS = 256
RAW_MESSAGES = 1500
IN_MEMORY = 24_000
TAIL_BYTES = 32 * 1024 * 1024
AIM_PUBLISH = 8000
AIM_RATIO = 0.2


def event() -> event_pb2.Event:
    """An event of 1 KiB."""
    execution = event_pb2.SkillExecutionEvent(
        execution_id="execution-1", agent_id="agent-1", skill_id="skill-1", execution_seconds=0.5, success=True
    )
    made = make_event(execution, agent_id="agent-1", correlation_id="experiment-1")
    made.skill_executed.output = "x" * (EVENT_BYTES - made.ByteSize() - 8)
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


async def deliver(client: AutoDevClient, request: SubscribeRequest, count: int) -> float:
    """Read so many events as one subscriber. Returns how many came a second."""
    request.max_batch_events = BATCH_EVENTS
    stream = client.events.Subscribe(request)
    started, received = time.perf_counter(), 0
    async for response in stream:
        received += len(response.events)
        if received >= count:
            break
    rate = received / (time.perf_counter() - started)
    stream.cancel()
    return rate


async def raw_stream() -> float:
    """How many events a second a bare stream carries in messages of the same size."""
    port = free_ports(1)[0]
    with _raw_server(port):
        async with grpc.aio.insecure_channel(f"{HOST}:{port}", options=channel_options()) as channel:
            call: Any = channel.unary_stream("/raw.Events/Stream")
            stream = call(b"", wait_for_ready=True)
            messages = aiter(stream)
            await anext(messages)
            started = time.perf_counter()
            async for _ in messages:
                pass
            return RAW_MESSAGES * BATCH_EVENTS / (time.perf_counter() - started)


@contextlib.contextmanager
def _raw_server(port: int) -> Iterator[None]:
    process = multiprocessing.get_context("spawn").Process(target=_serve_raw, args=(port,), daemon=True)
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


def _serve_raw(port: int) -> None:
    message = SubscribeResponse(events=[event() for _ in range(BATCH_EVENTS)]).SerializeToString()

    async def stream(request: bytes, context: Any) -> AsyncIterator[bytes]:
        for _ in range(1 + RAW_MESSAGES):
            yield message

    async def serve() -> None:
        server = grpc.aio.server()
        handlers: dict[str, Any] = {"Stream": grpc.unary_stream_rpc_method_handler(stream)}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("raw.Events", handlers),))
        server.add_insecure_port(f"{HOST}:{port}")
        await server.start()
        await server.wait_for_termination()

    asyncio.run(serve())


async def measure() -> None:
    """Measure and print, one figure a line."""
    with tempfile.TemporaryDirectory() as directory:
        settings = {"AUTODEV_GATEWAY_TAIL_BYTES": str(TAIL_BYTES)}
        async with Mesh(Path(directory), services=("gateway",), settings=settings) as mesh, mesh.client() as client:
            await publish(client, PUBLISHED // 10)
            published = await publish(client, PUBLISHED)
            print(f"events of {EVENT_BYTES} bytes")
            print(
                f"  Publish, {EVENTS_A_CALL} a call, {CALLS_IN_FLIGHT} in flight, on disk  {published:9,.0f}/s"
                f"   (aim {AIM_PUBLISH:,})"
            )
            raw = await raw_stream()
            print(f"  a bare stream of the same messages           {raw:9,.0f}/s")
            earliest = await deliver(client, SubscribeRequest(at=START_AT_EARLIEST), PUBLISHED)
            _print_ratio("one subscriber, from the database ", earliest, raw)
            tail = await _cursor_before_the_end(client, IN_MEMORY)
            _print_ratio("one subscriber, from memory       ", await deliver(client, tail, IN_MEMORY), raw)


async def _cursor_before_the_end(client: AutoDevClient, count: int) -> SubscribeRequest:
    """A request that starts so many events before the end of the log."""
    cursors: list[str] = []
    stream = client.events.Subscribe(SubscribeRequest(at=START_AT_EARLIEST, max_batch_events=BATCH_EVENTS))
    total = PUBLISHED + PUBLISHED // 10
    async for response in stream:
        cursors += [each.cursor for each in response.events]
        if len(cursors) >= total:
            break
    stream.cancel()
    return SubscribeRequest(after_cursor=cursors[-count - 1])


def _print_ratio(what: str, rate: float, raw: float) -> None:
    print(f"  {what}           {rate:9,.0f}/s   {rate / raw:.2f} x bare (aim {AIM_RATIO:g})")


def main() -> None:
    """Print the figures."""
    asyncio.run(measure())


if __name__ == "__main__":
    main()
