"""A running bubblewrap: its process 1, its group, its end."""

import asyncio
import contextlib
import json
import os
import signal
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from autodev_sandbox import cgroup
from autodev_sandbox.execution import BackendUnavailable

START_TIMEOUT_S = 10.0
COMPLAINT_BYTES = 65536


@dataclass(frozen=True)
class Recipe:
    """How to start one: bubblewrap with its options, Python with its, and the filter."""

    bubblewrap: Sequence[str]
    python: Sequence[str]
    program: bytes

    def command(self, info: int, entry: str, tmp_bytes: int) -> list[str]:
        arguments = [self.program.hex(), str(tmp_bytes)]
        return [*self.bubblewrap, "--info-fd", str(info), "--", *self.python, entry, *arguments]


class Bubblewrap:
    """Made by `start`; `end` must be awaited."""

    def __init__(self, process: asyncio.subprocess.Process, info: int, said: int) -> None:
        self.process = process
        self.info = info
        self.said = said  # What it complains of.
        self.first: int | None = None  # Process 1, as a pidfd: it cannot come to mean another process.
        self.group: cgroup.Group | None = None
        self.ended = False

    @classmethod
    async def start(cls, recipe: Recipe, entry: str, tmp_bytes: int, stdin: socket.socket) -> Self:
        """Start it; takes the socket over. Raises BackendUnavailable.

        On the event loop's own thread: --die-with-parent means the thread that started it.
        """
        info, info_in = os.pipe()
        said, said_in = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *recipe.command(info_in, entry, tmp_bytes),
                stdin=stdin.fileno(),
                stdout=asyncio.subprocess.DEVNULL,
                stderr=said_in,
                pass_fds=(info_in,),
                env={},
            )
        except BaseException as error:
            os.close(info)
            os.close(said)
            if isinstance(error, OSError):
                raise BackendUnavailable(f"bubblewrap does not start: {error}") from error
            raise
        finally:
            os.close(info_in)
            os.close(said_in)
            stdin.close()
        return cls(process, info, said)

    async def enter(self, group: cgroup.Group | None) -> None:
        """Have its process 1 in this group, before anything is asked of it. Raises BackendUnavailable."""
        self.group = group
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                told = json.loads(await read_to_brace(self.info))
            self.first = os.pidfd_open(told["child-pid"])
            if group:
                # The kernel may wait for every processor in turn, several times.
                await asyncio.to_thread(group.add, told["child-pid"])
        except (ValueError, OSError) as error:
            raise BackendUnavailable(await self.complaint() or f"bubblewrap is of no use: {error}") from error

    async def complaint(self) -> str:
        """What it said when there was something that it could not do. Ends it."""
        self.kill()
        await self.process.wait()
        # All who could write there are gone.
        os.set_blocking(self.said, False)
        try:
            return os.read(self.said, COMPLAINT_BYTES).decode(errors="replace").strip()
        except BlockingIOError:
            return ""

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            if self.first is None:
                self.process.kill()
            else:
                # The end of process 1 is the end of all others in there.
                signal.pidfd_send_signal(self.first, signal.SIGKILL)

    async def end(self) -> None:
        """End all that runs in it. When this returns, nothing is left."""
        if self.ended:
            await self.process.wait()
            return
        self.ended = True
        self.kill()
        # It ends when the last process inside is gone.
        await self.process.wait()
        os.close(self.info)
        os.close(self.said)
        if self.first is not None:
            os.close(self.first)
        if self.group:
            await self.group.remove()


async def read_to_brace(descriptor: int) -> bytes:
    """Read a pipe to the end of a JSON object, or of the pipe."""
    loop = asyncio.get_running_loop()
    text = b""
    while not text.rstrip().endswith(b"}"):
        readable: asyncio.Future[None] = loop.create_future()
        loop.add_reader(descriptor, readable.set_result, None)
        try:
            await readable
        finally:
            loop.remove_reader(descriptor)
        chunk = os.read(descriptor, 4096)
        if not chunk:
            break
        text += chunk
    return text
