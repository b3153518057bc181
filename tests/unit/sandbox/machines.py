"""Backends whose sandboxes do what a test says, frame by frame."""

import asyncio
import marshal
import struct

from autodev_sandbox.backends import Facility, PoolStatus, Sandbox
from autodev_sandbox.execution import BackendUnavailable, IsolationLevel, Limits, Status
from autodev_sandbox.wire import CALL_HEAD, LENGTH, Confinement, Ending, Kind


class Machine:
    """A backend that can be there or not, and holds its executions until told.

    Its sandboxes can be `hollow`: started, and gone before they got anything; or `lost` under what they run.
    """

    def __init__(self, level: IsolationLevel, *, there: bool = True) -> None:
        self.level = level
        self.there = there
        self.hollow = self.lost = False
        self.entered = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.ready = asyncio.Event()
        self.ready.set()
        self.probes = 0
        self.taken = 0
        self.in_use = 0

    async def probe(self) -> str:
        self.probes += 1
        await self.ready.wait()
        self.fail_unless_there()
        return "it is there"

    async def take(self, limits: Limits) -> Sandbox:
        self.fail_unless_there()
        self.taken += 1
        self.in_use += 1
        return Held(self)

    def retire(self, sandbox: Sandbox) -> None:
        self.in_use -= 1

    def facilities(self) -> list[Facility]:
        return [Facility("levers", True, "pulled by hand")]

    def pool_status(self) -> PoolStatus:
        return PoolStatus(in_use=self.in_use, ceiling=9)

    async def close(self) -> None:
        self.there = False

    def fail_unless_there(self) -> None:
        if not self.there:
            raise BackendUnavailable("it went away")


class Held:
    """A sandbox whose execution, or whose next call, ends when its machine says so."""

    confinement = Confinement()

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.level = machine.level
        self.answers: asyncio.Queue[bytes] = asyncio.Queue()
        self.calls = 0

    async def send(self, data: bytes) -> None:
        self.machine.entered.set()
        request = marshal.loads(data[LENGTH.size :])
        if "entry_point" not in request:
            figures = CALL_HEAD.pack(self.calls, 1, False) + struct.pack(">Q", 1_000_000)
            self.answers.put_nowait(frame(Kind.CALL, figures + report(Ending.ANSWERED, b'{"value": 1}')))
            self.calls += 1
        elif "calls" not in request:
            self.answers.put_nowait(frame(Kind.REPORT, report(Ending.EXITED, b"")))

    async def receive(self) -> bytes:
        if self.machine.hollow:
            return b""
        await self.machine.go_on.wait()
        return b"" if self.machine.lost else await self.answers.get()

    def oom_kills(self) -> int:
        return 0

    def peak_memory_bytes(self) -> int:
        return 0

    async def why_lost(self) -> Status:
        if self.machine.hollow:
            raise BackendUnavailable("it never was there")
        return Status.KILLED

    async def end(self) -> None:
        """There is nothing to end."""


def frame(kind: Kind, body: bytes) -> bytes:
    return kind.value + LENGTH.pack(len(body)) + body


def report(ending: Ending, message: bytes) -> bytes:
    return b"%d 0 0 1000 0 0 0 0 %d\n" % (ending.value, len(message)) + message
