"""One bubblewrap that lives for many executions, and the sandbox in it, which lives for one.

Process 1 of a nest is a warden (`inside/warden.py`). It forks a sandbox into fresh namespaces when it is told to, and
the next one only when that is dead to its last process. The nest's group bounds the one that runs.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Coroutine
from typing import Any, Self

from autodev_sandbox import cgroup
from autodev_sandbox.backends.bubblewrap import START_TIMEOUT_S, Bubblewrap, Recipe
from autodev_sandbox.backends.socket_channel import SocketChannel, channel_pair
from autodev_sandbox.execution import MIB, BackendUnavailable, IsolationLevel, Limits, Status
from autodev_sandbox.inside.orders import ENDED, FAILED, KILL, MESSAGE_BYTES, READY
from autodev_sandbox.wire import Confinement

PATIENCE_S = 0.1
END_TIMEOUT_S = 5.0
OWN_PROCESSES = 2  # The warden and the supervisor.
MOST_LEFT_BYTES = 8 * MIB
SETTLING_S = 1.0


class Nest:
    """A running bubblewrap and the socket to its warden. Used by one sandbox at a time."""

    def __init__(self, bubblewrap: Bubblewrap, control: socket.socket) -> None:
        self.bubblewrap = bubblewrap
        self.control = control
        self.own_bytes = 0  # What it uses while its sandbox waits.
        self.executions = 0
        self.gone = False
        self.answer: asyncio.Future[None] | None = None
        self.empty = asyncio.Event()
        self.empty.set()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(control, self._hear)

    @classmethod
    def start(cls, recipe: Recipe, entry: str) -> Self:
        """Start a warden. Raises BackendUnavailable."""
        control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        control.setblocking(False)
        try:
            return cls(Bubblewrap.start(recipe, entry, 0, theirs), control)
        except BaseException:
            control.close()
            raise

    @property
    def group(self) -> cgroup.Group | None:
        return self.bubblewrap.group

    async def open(self, tmp_bytes: int) -> SocketChannel:
        """Let the warden make a sandbox; when this returns it waits for its request. Raises BackendUnavailable."""
        channel, theirs = channel_pair()
        self.answer = self._loop.create_future()
        try:
            with theirs:
                self.forget_limits()
                socket.send_fds(self.control, [b"%d" % tmp_bytes], [theirs.fileno()])
            self.empty.clear()
            async with asyncio.timeout(START_TIMEOUT_S):
                await self.answer
        except BaseException as error:
            channel.close()
            if isinstance(error, OSError | BackendUnavailable):
                raise BackendUnavailable(
                    await self.bubblewrap.complaint() or str(error) or "a nest does not answer"
                ) from error
            raise
        finally:
            self.answer = None
        return channel

    def forget_limits(self) -> None:
        """Have the next sandbox made under the limits that most have, and not under its predecessor's."""
        if self.group and self.own_bytes:
            self.group.set_limits(Limits(), self.own_bytes, OWN_PROCESSES)

    async def clear(self) -> None:
        """End all that runs in the sandbox. When this returns, nothing of it is left; or the nest is gone with it."""
        # A supervisor ends by itself when it has reported, and when its channel is closed.
        if await self.emptied(PATIENCE_S):
            return
        with contextlib.suppress(OSError):
            self.control.send(KILL)
        if not await self.emptied(END_TIMEOUT_S):
            await self.close()

    async def emptied(self, within_s: float) -> bool:
        if self.empty.is_set():
            return True
        try:
            async with asyncio.timeout(within_s):
                return await self.empty.wait()
        except TimeoutError:
            return False

    async def is_clean(self) -> bool:
        """Whether it uses no more than it did before its first execution, as far as the host can see."""
        if self.gone or not self.group or not self.own_bytes:  # Nothing has run in it.
            return not self.gone
        # The kernel lets go of a directory in memory a moment after its last user.
        settled_s = self._loop.time() + SETTLING_S
        while self.group.uses_more_than(self.own_bytes + MOST_LEFT_BYTES):
            if self._loop.time() > settled_s:
                return False
            await asyncio.sleep(0.005)
        return True

    async def close(self) -> None:
        """End it and all that runs in it. When this returns, nothing is left."""
        self.bubblewrap.kill()
        self._lose()
        await self.bubblewrap.end()
        self.control.close()

    def _hear(self) -> None:
        try:
            message = self.control.recv(MESSAGE_BYTES)
        except ConnectionResetError:
            message = b""
        kind, rest = message[:1], message[1:].decode(errors="replace")
        if kind == READY:
            self._answer(None)
        elif kind == FAILED:
            self._answer(BackendUnavailable(f"no sandbox can be made in a nest: {rest}"))
        elif kind == ENDED:
            self.empty.set()
            self._answer(BackendUnavailable("a sandbox ended before it was ready"))
        else:
            self._lose()

    def _lose(self) -> None:
        """The warden is gone, and with it all that ran in the nest."""
        if not self.gone:
            self.gone = True
            self._loop.remove_reader(self.control)
        self.empty.set()
        self._answer(BackendUnavailable("a nest ended before its sandbox was ready"))

    def _answer(self, failure: BackendUnavailable | None) -> None:
        if not self.answer or self.answer.done():
            return
        if failure:
            self.answer.set_exception(failure)
        else:
            self.answer.set_result(None)


# What becomes of a nest when its sandbox has ended.
Leave = Callable[[Nest], Coroutine[Any, Any, None]]


class NestSandbox:
    """The sandbox that is in a nest now, for one execution."""

    level = IsolationLevel.NAMESPACE

    def __init__(self, nest: Nest, channel: SocketChannel, tmp_bytes: int, leave: Leave) -> None:
        self.nest = nest
        self.channel = channel
        self.tmp_bytes = tmp_bytes
        self.leave = leave
        self.kills_before = 0
        self.ended = False

    @property
    def confinement(self) -> Confinement:
        grouped = self.nest.group is not None
        return Confinement(limits_memory=not grouped, limits_processes=not grouped)

    async def admit(self, limits: Limits) -> None:
        """Set the limits of the execution that is about to use it. Raises BackendUnavailable."""
        if limits.tmp_bytes != self.tmp_bytes:
            # What is mounted is mounted: it takes another sandbox, which is quickly made.
            self.channel.close()
            await self.nest.clear()
            self.channel = await self.nest.open(limits.tmp_bytes)
            self.tmp_bytes = limits.tmp_bytes
        if group := self.nest.group:
            try:
                self.nest.own_bytes = self.nest.own_bytes or group.used_bytes()
                group.set_limits(limits, self.nest.own_bytes, OWN_PROCESSES)
                group.forget_peak()
                self.kills_before = group.oom_kills()
            except OSError as error:
                raise BackendUnavailable(f"a nest's limits cannot be set: {error}") from error

    def alive(self) -> bool:
        return not self.nest.empty.is_set() and self.channel.quiet()

    async def send(self, data: bytes) -> None:
        await self.channel.send(data)

    async def receive(self) -> bytes:
        return await self.channel.receive()

    def oom_kills(self) -> int:
        return self.nest.group.oom_kills() - self.kills_before if self.nest.group else 0

    def peak_memory_bytes(self) -> int:
        return max(self.nest.group.peak_bytes() - self.nest.own_bytes, 0) if self.nest.group else 0

    async def why_lost(self) -> Status:
        return Status.OOM if self.oom_kills() else Status.KILLED

    async def end(self) -> None:
        if self.ended:
            return
        self.ended = True
        self.channel.close()
        await self.nest.clear()
        await self.leave(self.nest)
