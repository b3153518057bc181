"""The event log's throughput: `python -m benchmarks.events`.

Publishing: calls of ten 1 KiB events, 64 in flight, each acknowledged once it is on disk. Delivery: one subscriber
reads what was published, from memory (the end of the log) and from the database (its start). The denominator of
delivery is a bare stream of the same grpc library in the same run: a server process that sends the same bytes,
ready-made, over and over, and a client that does not even parse them.
"""

import asyncio
import tempfile
from pathlib import Path

from autodev.gateway.v1.event_service_pb2 import START_AT_EARLIEST, SubscribeRequest
from autodev_sdk import AutoDevClient
from benchmarks.mesh import raw_grpc
from benchmarks.mesh.traffic import BATCH_EVENTS, CALLS_IN_FLIGHT, EVENT_BYTES, EVENTS_A_CALL, follow, publish
from tests.mesh import Mesh

PUBLISHED = 60_000
RAW_MESSAGES = 1500
IN_MEMORY = 24_000
TAIL_BYTES = 32 * 1024 * 1024
AIM_PUBLISH = 8000
AIM_RATIO = 0.2


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
            with raw_grpc.serving() as address:
                raw = await raw_grpc.rate(address, 1, RAW_MESSAGES)
            print(f"  a bare stream of the same messages           {raw:9,.0f}/s")
            earliest = await follow([client], SubscribeRequest(at=START_AT_EARLIEST), PUBLISHED)
            _print_ratio("one subscriber, from the database ", earliest, raw)
            tail = await _cursor_before_the_end(client, IN_MEMORY)
            _print_ratio("one subscriber, from memory       ", await follow([client], tail, IN_MEMORY), raw)


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
