"""The same gRPC library with nothing behind it, as a denominator and a floor.

A stream of the same bytes, ready-made, over and over, that the client does not parse; and calls that do nothing.
"""

import asyncio
import contextlib
import multiprocessing
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc

from autodev.gateway.v1.event_service_pb2 import SubscribeResponse
from autodev_sdk.channel import channel_options
from benchmarks.mesh.traffic import BATCH_EVENTS, event
from tests.mesh import HOST, free_ports


@contextlib.contextmanager
def serving() -> Iterator[str]:
    """A server process, within the block; its address."""
    address = f"{HOST}:{free_ports(1)[0]}"
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(address,), daemon=True)
    process.start()
    try:
        yield address
    finally:
        process.kill()
        process.join()


async def calls_rate(address: str, request: bytes, in_flight: int, calls: int) -> float:
    """How many calls of so many bytes are answered a second."""
    waiting = iter(range(calls))
    async with grpc.aio.insecure_channel(address, options=channel_options()) as channel:
        call: Any = channel.unary_unary("/raw.Events/Call")
        await call(request, wait_for_ready=True)

        async def one_after_the_other() -> None:
            for _ in waiting:
                await call(request, timeout=60)

        started = time.perf_counter()
        await asyncio.gather(*(one_after_the_other() for _ in range(in_flight)))
        return calls / (time.perf_counter() - started)


async def rate(address: str, streams: int, messages: int) -> float:
    """How many events a second so many streams carry in all, each in messages of 256 events, over one connection."""
    async with grpc.aio.insecure_channel(address, options=channel_options()) as channel:
        call: Any = channel.unary_stream("/raw.Events/Stream")
        ready = [call(str(messages).encode(), wait_for_ready=True) for _ in range(streams)]
        iterators = [aiter(each) for each in ready]
        await asyncio.gather(*map(anext, iterators))

        async def drain(iterator: AsyncIterator[bytes]) -> None:
            async for _ in iterator:
                pass

        started = time.perf_counter()
        await asyncio.gather(*map(drain, iterators))
        return streams * messages * BATCH_EVENTS / (time.perf_counter() - started)


def _serve(address: str) -> None:
    message = SubscribeResponse(events=[event() for _ in range(BATCH_EVENTS)]).SerializeToString()

    async def stream(request: bytes, context: Any) -> AsyncIterator[bytes]:
        for _ in range(1 + int(request)):
            yield message

    async def call(request: bytes, context: Any) -> bytes:
        return b""

    async def serve() -> None:
        server = grpc.aio.server()
        handlers: dict[str, Any] = {
            "Stream": grpc.unary_stream_rpc_method_handler(stream),
            "Call": grpc.unary_unary_rpc_method_handler(call),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("raw.Events", handlers),))
        server.add_insecure_port(address)
        await server.start()
        await server.wait_for_termination()

    asyncio.run(serve())
