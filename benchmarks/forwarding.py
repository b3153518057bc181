"""What the gateway adds to a call that it forwards: `python -m benchmarks.forwarding`.

The same call goes to the capability service itself and to the gateway before it, in turns, so that whatever else the
machine does falls on both. Aim: the forwarded call's median is at most twice the direct one's.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from autodev.capability.v1.capability_service_pb2 import CheckCapabilityRequest
from autodev.capability.v1.capability_service_pb2_grpc import CapabilityServiceStub
from autodev_runtime.identity import Identity, Role
from tests.mesh import DEVELOPER, TENANT, Mesh

CALLS = 3000
WARM_UP_CALLS = 300
AIM_RATIO = 2.0

Call = Callable[[], Awaitable[object]]


async def measure(calls: int = CALLS) -> tuple[float, float]:
    """The medians of direct and forwarded calls, in seconds."""
    request = CheckCapabilityRequest(agent_id="agent-1", capability="auto_dev.memento_skills")
    identity = Identity(TENANT, DEVELOPER, frozenset({Role.RUNTIME})).metadata()
    with tempfile.TemporaryDirectory() as directory:
        async with (
            Mesh(Path(directory), services=("gateway", "capability")) as mesh,
            mesh.client() as client,
            mesh.channel("capability") as channel,
        ):
            stub = CapabilityServiceStub(channel)
            return await _in_turns(
                lambda: stub.CheckCapability(request, metadata=identity, timeout=10),
                lambda: client.capability.CheckCapability(request, timeout=10),
                calls,
            )


async def _in_turns(direct: Call, forwarded: Call, calls: int) -> tuple[float, float]:
    times: tuple[list[float], list[float]] = [], []
    for turn in range(WARM_UP_CALLS + calls):
        for call, seconds in zip((direct, forwarded), times, strict=True):
            started = time.perf_counter()
            await call()
            if turn >= WARM_UP_CALLS:
                seconds.append(time.perf_counter() - started)
    return statistics.median(times[0]), statistics.median(times[1])


def main() -> None:
    """Print the figures."""
    direct_s, forwarded_s = asyncio.run(measure())
    ratio = forwarded_s / direct_s
    verdict = "within" if ratio <= AIM_RATIO else "beyond"
    print(f"CheckCapability, one call at a time, {CALLS} calls each way, medians of the same run")
    print(f"  direct     {direct_s * 1000:7.3f} ms")
    print(f"  forwarded  {forwarded_s * 1000:7.3f} ms   {ratio:.2f} x direct ({verdict} the aim of {AIM_RATIO:g})")


if __name__ == "__main__":
    main()
