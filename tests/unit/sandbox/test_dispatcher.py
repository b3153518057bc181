import asyncio
from collections.abc import Sequence

import pytest

from autodev_runtime.errors import FailedPrecondition, ResourceExhausted
from autodev_sandbox.backends import Facility, PoolStatus, Sandbox
from autodev_sandbox.dispatcher import Dispatcher
from autodev_sandbox.execution import BackendUnavailable, Execution, IsolationLevel, Limits, Status
from autodev_sandbox.wire import Confinement, Kind


class Machine:
    """A backend that can be there or not, and holds its executions until told."""

    def __init__(self, level: IsolationLevel, *, there: bool = True) -> None:
        self.level = level
        self.there = there
        self.entered = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def probe(self) -> str:
        self.fail_unless_there()
        return "it is there"

    async def take(self, limits: Limits) -> "Held":
        self.fail_unless_there()
        return Held(self)

    def retire(self, sandbox: Sandbox) -> None:
        """There is nothing to end."""

    def facilities(self) -> list[Facility]:
        return []

    def pool_status(self) -> PoolStatus:
        return PoolStatus()

    async def close(self) -> None:
        self.there = False

    def fail_unless_there(self) -> None:
        if not self.there:
            raise BackendUnavailable("it went away")


class Held:
    """A sandbox whose execution ends when its machine says so."""

    confinement = Confinement()

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.level = machine.level

    async def send(self, data: bytes) -> None:
        self.machine.entered.set()

    async def receive(self) -> bytes:
        await self.machine.go_on.wait()
        figures = b"0 0 0 0 0 0 0 0 0\n"
        return Kind.REPORT.value + len(figures).to_bytes(4, "big") + figures

    def oom_kills(self) -> int:
        return 0

    def peak_memory_bytes(self) -> int:
        return 0

    async def why_lost(self) -> Status:
        return Status.KILLED

    async def end(self) -> None:
        """There is nothing to end."""


async def dispatcher(
    machines: Sequence[Machine],
    minimum: IsolationLevel = IsolationLevel.NAMESPACE,
    slots: int = 2,
    max_waiting: int = 10,
) -> Dispatcher:
    made = Dispatcher(machines, minimum=minimum, slots=slots, max_waiting=max_waiting)
    await made.probe()
    return made


async def test_the_strongest_level_that_works_is_taken() -> None:
    gvisor = Machine(IsolationLevel.CONTAINER_GVISOR, there=False)
    made = await dispatcher([Machine(IsolationLevel.NAMESPACE), gvisor, Machine(IsolationLevel.CONTAINER)])
    assert made.default_level() is IsolationLevel.CONTAINER
    assert (await made.execute(Execution(""))).level is IsolationLevel.CONTAINER


async def test_an_engine_that_goes_away_makes_room_for_the_next_level() -> None:
    engine = Machine(IsolationLevel.CONTAINER)
    made = await dispatcher([engine, Machine(IsolationLevel.NAMESPACE)])
    engine.there = False
    assert (await made.execute(Execution(""))).level is IsolationLevel.NAMESPACE
    assert made.default_level() is IsolationLevel.NAMESPACE


async def test_an_engine_that_comes_back_is_used_again() -> None:
    engine = Machine(IsolationLevel.CONTAINER, there=False)
    made = await dispatcher([engine])
    assert not await made.ready()
    engine.there = True
    await made.probe()
    assert await made.ready()


@pytest.mark.parametrize("minimum", [IsolationLevel.CONTAINER, IsolationLevel.CONTAINER_GVISOR])
async def test_a_minimum_is_never_undercut(minimum: IsolationLevel) -> None:
    engine = Machine(IsolationLevel.CONTAINER)
    made = await dispatcher([engine, Machine(IsolationLevel.NAMESPACE), Machine(IsolationLevel.PROCESS)])
    engine.there = False
    with pytest.raises(FailedPrecondition, match="AUTODEV_SANDBOX_ALLOW_PROCESS") as refused:
        await made.execute(Execution("", minimum=minimum))
    assert refused.value.reason == "ISOLATION_UNAVAILABLE"


async def test_a_caller_cannot_ask_for_less_than_the_operators_minimum() -> None:
    made = await dispatcher([Machine(IsolationLevel.PROCESS)])
    with pytest.raises(FailedPrecondition):
        await made.execute(Execution("", minimum=IsolationLevel.PROCESS))


async def test_a_full_queue_refuses_and_an_emptied_one_takes_again() -> None:
    machine = Machine(IsolationLevel.NAMESPACE)
    made = await dispatcher([machine], slots=1, max_waiting=1)
    machine.go_on.clear()
    running = asyncio.create_task(made.execute(Execution("")))
    waiting = asyncio.create_task(made.execute(Execution("")))
    await asyncio.wait_for(machine.entered.wait(), 5)
    assert (made.running, made.waiting) == (1, 1)
    with pytest.raises(ResourceExhausted) as refused:
        await made.execute(Execution(""))
    assert (refused.value.reason, bool(refused.value.retry_after)) == ("QUEUE_FULL", True)
    machine.go_on.set()
    await asyncio.gather(running, waiting)
    assert (made.running, made.waiting) == (0, 0)
    assert (await made.execute(Execution(""))).status is Status.OK


async def test_who_gives_up_waiting_leaves_the_queue() -> None:
    machine = Machine(IsolationLevel.NAMESPACE)
    made = await dispatcher([machine], slots=1, max_waiting=1)
    machine.go_on.clear()
    running = asyncio.create_task(made.execute(Execution("")))
    waiting = asyncio.create_task(made.execute(Execution("")))
    await asyncio.wait_for(machine.entered.wait(), 5)
    assert made.waiting == 1
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert made.waiting == 0
    machine.go_on.set()
    assert (await running).status is Status.OK


async def test_every_level_is_told_of_strongest_first() -> None:
    made = await dispatcher([Machine(IsolationLevel.CONTAINER, there=False), Machine(IsolationLevel.NAMESPACE)])
    statuses = made.statuses()
    assert [status.level for status in statuses] == sorted(IsolationLevel, reverse=True)
    told = {status.level: (status.available, status.detail) for status in statuses}
    assert told[IsolationLevel.CONTAINER] == (False, "it went away")
    assert told[IsolationLevel.NAMESPACE] == (True, "it is there")
    assert told[IsolationLevel.PROCESS][1].startswith("turned off")
