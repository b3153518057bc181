"""Cuts services off from each other for a while; run by test_network_cut.py in a network namespace of its own.

`python -m tests.chaos.cut_network <seconds>` as root. The gateways, with their clients, are in that namespace; all
other services are in another one, joined with it by a veth pair on whose addresses they listen, by mutual TLS. The cut
loses every packet between the two, as a broken switch does: nobody is told, and connections stay open. Both sides reach
the database, which listens on a Unix socket.
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
from tests.certificates import certificates_in
from tests.chaos import readback
from tests.chaos.load import AWAY, QUOTA, Publisher, events_of, named_agents, prepared
from tests.fleet import Fleet, Machine
from tests.mesh import SERVICES, eventually
from tests.postgresql import Server, binaries
from tests.storage import Storages

AGENTS = 4
HERE, THERE, CABLE = "10.87.0.1", "10.87.0.2", "cable"
"""Addresses of the two machines, and what the interface between them is called on both."""
NOTICED_S = 14.0
"""Keepalive takes a silent connection for gone within ten seconds; a call then learns it at once."""


async def main(cut_s: float) -> None:
    programs = binaries()
    assert programs is not None
    server = Server(programs)
    try:
        server.make()
        with tempfile.TemporaryDirectory() as directory, Storages(server).new(Path(directory)) as storage:
            certificates = certificates_in(Path(directory) / "certs")
            async with another_machine() as there:
                machines = {"gateway": Machine(HERE)} | dict.fromkeys(SERVICES[1:], there)
                fleet = Fleet(Path(directory), storage.settings, machines=machines, certificates=certificates)
                await cut_and_mend(fleet, storage, lambda: cut(there, cut_s))
    finally:
        server.remove()


async def cut_and_mend(
    made: Fleet, storage: Any, cut_off: Callable[[], contextlib.AbstractAsyncContextManager[None]]
) -> None:
    """Under load, cut the services off from the log, and the gateways from the services."""
    agents = named_agents(1, AGENTS)
    async with made as fleet, fleet.client() as client:
        publisher, delivered = Publisher(client), set[str]()

        async def note(event: event_pb2.Event) -> None:
            delivered.add(event.id)

        await prepared(publisher, storage, agents)
        async with working(EventWorker(client.events, "audit", {event_pb2.EVENT_TYPE_TASK_FAILED: note})):
            async with cut_off():
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
async def another_machine() -> AsyncIterator[Machine]:
    """A network namespace beside this one, joined with it by a veth pair, for the block."""
    # It ends with this process, however that ends: nothing comes to its input, which is then closed.
    keeper = await asyncio.create_subprocess_exec("unshare", "--net", "cat", stdin=asyncio.subprocess.PIPE)
    own, its = Path("/proc/self/ns/net"), Path(f"/proc/{keeper.pid}/ns/net")
    there = Machine(THERE, ("nsenter", f"--net={its}"))
    try:

        async def apart() -> bool:
            return its.readlink() != own.readlink()

        await eventually(apart, "there is another network namespace")
        await _run("ip", "link", "add", CABLE, "type", "veth", "peer", "name", CABLE, "netns", str(keeper.pid))
        for machine in (Machine(HERE), there):
            await _run(*machine.within, "ip", "address", "add", f"{machine.host}/24", "dev", CABLE)
            for interface in ("lo", CABLE):
                await _run(*machine.within, "ip", "link", "set", interface, "up")
        yield there
    finally:
        keeper.kill()
        await keeper.wait()


@contextlib.asynccontextmanager
async def cut(there: Machine, cut_s: float) -> AsyncIterator[None]:
    """Lose every packet between here and there within the block, which lasts so long at least."""
    rule = ("INPUT", "-i", CABLE, "-j", "DROP")
    ends = ((), there.within)
    for within in ends:
        await _run(*within, "iptables", "-A", *rule)
    started = time.monotonic()
    yield
    await asyncio.sleep(max(0.0, cut_s - (time.monotonic() - started)))
    for within in ends:
        await _run(*within, "iptables", "-D", *rule)


async def _run(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(*command)
    assert await process.wait() == 0, command


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
