"""What a check of a capability costs: `python -m benchmarks.capability`.

CheckCapability of the real service against an RPC that does nothing, on the same server bootstrap (the pipeline of
identity, field rules, deadline and metrics), each in a process of its own, in turns. The agents are allowed, under a
daily limit, and many: the answers come from memory except once a second each. Aim: 60 % of the no-op's rate.
"""

import asyncio
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import grpc

from autodev.capability.v1 import capability_service_pb2 as pb
from autodev.capability.v1.capability_service_pb2_grpc import CapabilityServiceStub
from autodev_runtime.identity import Identity, Role
from autodev_runtime.server import Endpoint, running
from autodev_runtime.settings import ServiceSettings
from tests.mesh import DEVELOPER, HOST, TENANT, Mesh, free_ports

AGENTS = 20
CAPABILITY = "auto_dev.memento_skills"
CALLS_IN_FLIGHT = 32
ROUNDS = 8
CALLS_A_ROUND = 2000
AIM_RATIO = 0.6

Call = Callable[[pb.CheckCapabilityRequest], Awaitable[pb.CheckCapabilityResponse]]


async def _nothing(request: pb.CheckCapabilityRequest, context: Any) -> pb.CheckCapabilityResponse:
    return pb.CheckCapabilityResponse()


NO_OP = grpc.method_handlers_generic_handler(
    "autodev.capability.v1.CapabilityService",
    {
        "CheckCapability": grpc.unary_unary_rpc_method_handler(
            _nothing,
            request_deserializer=pb.CheckCapabilityRequest.FromString,
            response_serializer=pb.CheckCapabilityResponse.SerializeToString,
        )
    },
)


async def measure(rounds: int = ROUNDS, calls: int = CALLS_A_ROUND) -> tuple[float, float]:
    """Calls a second of the no-op and of the check: medians of rounds taken in turns."""
    no_op, checks = await rates(rounds, calls)
    return statistics.median(no_op), statistics.median(checks)


async def rates(rounds: int, calls: int) -> tuple[list[float], list[float]]:
    """Calls a second of the no-op and of the check, of each round."""
    (port,) = free_ports(1)
    spawn = multiprocessing.get_context("spawn")
    stop = spawn.Event()
    no_op = spawn.Process(target=_serve_no_op, args=(port, stop))
    no_op.start()
    try:
        with tempfile.TemporaryDirectory() as directory:
            async with (
                Mesh(Path(directory), services=("gateway", "capability")) as mesh,
                mesh.channel("capability") as checked,
                grpc.aio.insecure_channel(f"{HOST}:{port}") as bare,
            ):
                await _allow(checked)
                return await _in_turns(_check(bare), _check(checked), rounds, calls)
    finally:
        stop.set()
        no_op.join()


def _serve_no_op(port: int, stop: Event) -> None:
    async def serve() -> None:
        endpoint = Endpoint(f"{HOST}:{port}", [], generic_handlers=[NO_OP])
        async with running("no-op", ServiceSettings(port=port), [endpoint]):
            await asyncio.to_thread(stop.wait)

    asyncio.run(serve())


def _metadata() -> tuple[tuple[str, str], ...]:
    return Identity(TENANT, DEVELOPER, frozenset({Role.OPERATOR})).metadata()


def _check(channel: grpc.aio.Channel) -> Call:
    stub, metadata = CapabilityServiceStub(channel), _metadata()
    return lambda request: stub.CheckCapability(request, metadata=metadata, timeout=30, wait_for_ready=True)


async def _allow(channel: grpc.aio.Channel) -> None:
    stub = CapabilityServiceStub(channel)
    settings = pb.WorkspaceSettings(enabled=True, memento_skills=True, max_skill_candidates_per_day=5)
    await stub.UpdateWorkspaceSettings(pb.UpdateWorkspaceSettingsRequest(settings=settings), metadata=_metadata())
    for agent in range(AGENTS):
        request = pb.SetMaturityRequest(agent_id=f"agent-{agent}", maturity=pb.MATURITY_LEVEL_INTERN)
        await stub.SetMaturity(request, metadata=_metadata())
    assert (await _check(channel)(_request(0))).allowed


def _request(number: int) -> pb.CheckCapabilityRequest:
    return pb.CheckCapabilityRequest(agent_id=f"agent-{number % AGENTS}", capability=CAPABILITY)


async def _in_turns(bare: Call, checked: Call, rounds: int, calls: int) -> tuple[list[float], list[float]]:
    found_rates: tuple[list[float], list[float]] = [], []
    for turn in range(rounds + 1):
        for call, found in zip((bare, checked), found_rates, strict=True):
            rate = await _rate(call, calls)
            if turn:  # The first round warms up.
                found.append(rate)
    return found_rates


async def _rate(call: Call, calls: int) -> float:
    numbers = iter(range(calls))

    async def work() -> None:
        for number in numbers:
            await call(_request(number))

    started = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(CALLS_IN_FLIGHT)))
    return calls / (time.perf_counter() - started)


def main() -> None:
    """Print the figures."""
    no_op, check = asyncio.run(measure())
    ratio = check / no_op
    verdict = "within" if ratio >= AIM_RATIO else "beyond"
    print(f"{CALLS_IN_FLIGHT} calls in flight, {AGENTS} agents, medians of {ROUNDS} rounds of {CALLS_A_ROUND} in turns")
    print(f"  no-op            {no_op:8.0f}/s")
    print(f"  CheckCapability  {check:8.0f}/s   {ratio:.2f} x no-op ({verdict} the aim of {AIM_RATIO:g})")


if __name__ == "__main__":
    main()
