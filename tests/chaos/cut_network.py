"""Cuts services off from each other for a while; run by test_network_cut.py in a network namespace of its own.

`python -m tests.chaos.cut_network <seconds>` as root: the kernel drops every packet to and from the ports of what is
cut off, as a broken switch does. Nobody is told, and connections stay open.
"""

import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc

from autodev.gateway.v1 import event_pb2
from autodev.learning.v1 import skill_service_pb2
from autodev_sdk.events import EventWorker, working
from tests.chaos import readback
from tests.chaos.load import AWAY, QUOTA, Publisher, events_of, named_agents, prepared
from tests.fleet import Fleet
from tests.mesh import eventually
from tests.postgresql import Server, binaries
from tests.storage import Storages

AGENTS = 4
NOTICED_S = 14.0
"""Keepalive takes a silent connection for gone within ten seconds; a call then learns it at once."""


async def main(cut_s: float) -> None:
    programs = binaries()
    assert programs is not None
    server = Server(programs)
    try:
        server.make()
        with tempfile.TemporaryDirectory() as directory, Storages(server).new(Path(directory)) as storage:
            await cut_and_mend(Fleet(Path(directory), storage.settings), storage, cut_s)
    finally:
        server.remove()


async def cut_and_mend(made: Fleet, storage: Any, cut_s: float) -> None:
    """Under load, cut the services off from the log, and the gateways from learning."""
    agents = named_agents(1, AGENTS)
    async with made as fleet, fleet.client() as client:
        publisher, delivered = Publisher(client), set[str]()

        async def note(event: event_pb2.Event) -> None:
            delivered.add(event.id)

        await prepared(publisher, storage, agents)
        async with working(EventWorker(client.events, "audit", {event_pb2.EVENT_TYPE_TASK_FAILED: note})):
            async with _cut([*fleet.ports("internal"), *fleet.ports("learning")], cut_s):
                started = time.monotonic()
                refused = await _refusal(lambda: client.skills.ListSkills(skill_service_pb2.ListSkillsRequest()))
                assert refused in AWAY, refused
                assert time.monotonic() - started < NOTICED_S, f"noticed after {time.monotonic() - started:.1f} s"
                print(f"a call to what is cut off is {refused.name} after {time.monotonic() - started:.1f} s")
                # Clients reach the gateways, which reach their database: what they acknowledge is kept.
                for agent in agents:
                    await publisher.publish(events_of(agent))
            mended = time.monotonic()
            await eventually(lambda: _answers(client), "learning answers again", 30)
            print(f"a call goes through {time.monotonic() - mended:.1f} s after the cut is mended")
            await readback.worked_through(storage, len(agents) * QUOTA)
        log = await readback.check_log(client, publisher.acknowledged)
        assert {event.id for event in log if event.HasField("task_failed")} <= delivered
        readback.check_steps(log)
        episodes = {event.task_failed.episode_id for event in log if event.HasField("task_failed")}
        await readback.check_learned(storage, agents, episodes)
        await readback.check_quotas(storage)
        await readback.check_no_dead_letters(storage)
        ended = [replica.name for replica in fleet.replicas.values() if replica.starts != 1]
        assert not ended, f"ended by themselves: {ended}"


@contextlib.asynccontextmanager
async def _cut(ports: list[int], cut_s: float) -> AsyncIterator[None]:
    """Drop every packet of these ports within the block, which lasts so long at least."""
    rules = [["INPUT", "-p", "tcp", end, str(port), "-j", "DROP"] for port in ports for end in ("--dport", "--sport")]
    for rule in rules:
        await _iptables("-A", *rule)
    started = time.monotonic()
    yield
    await asyncio.sleep(max(0.0, cut_s - (time.monotonic() - started)))
    for rule in rules:
        await _iptables("-D", *rule)


async def _iptables(*arguments: str) -> None:
    process = await asyncio.create_subprocess_exec("iptables", *arguments)
    assert await process.wait() == 0


async def _refusal(call: Callable[[], Awaitable[Any]]) -> grpc.StatusCode:
    try:
        await call()
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


async def _answers(client: Any) -> bool:
    request = skill_service_pb2.ListSkillsRequest()
    return await _refusal(lambda: client.skills.ListSkills(request, timeout=5)) is grpc.StatusCode.OK


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1])))
