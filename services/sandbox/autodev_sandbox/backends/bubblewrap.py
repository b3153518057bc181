"""A running bubblewrap: its process 1, its group, its end."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from autodev_sandbox import cgroup
from autodev_sandbox.execution import BackendUnavailable
from autodev_sandbox.rootfs import INSIDE_PACKAGE

START_TIMEOUT_S = 10.0
COMPLAINT_BYTES = 65536
COMM = "bwrap\n"


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

    def __init__(self, process: subprocess.Popen[bytes], info: int, said: int) -> None:
        self.process = process
        self.info = info
        self.said = said  # What it complains of.
        self.first: int | None = None  # Process 1, as a pidfd: it cannot come to mean another process.
        self.group: cgroup.Group | None = None
        self.ended = False

    @classmethod
    def start(cls, recipe: Recipe, entry: str, tmp_bytes: int, stdin: socket.socket) -> Self:
        """Start it; takes the socket over. Raises BackendUnavailable.

        On the event loop's own thread, since --die-with-parent means the thread that started it. Not by asyncio, which
        would have a thread wait for each.
        """
        info, info_in = os.pipe()
        said, said_in = os.pipe()
        try:
            process = subprocess.Popen(
                recipe.command(info_in, entry, tmp_bytes),
                stdin=stdin.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=said_in,
                pass_fds=(info_in,),
                env={},
            )
        except OSError as error:
            os.close(info)
            os.close(said)
            raise BackendUnavailable(f"bubblewrap does not start: {error}") from error
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
        await self.wait()
        # All who could write there are gone.
        os.set_blocking(self.said, False)
        try:
            return os.read(self.said, COMPLAINT_BYTES).decode(errors="replace").strip()
        except BlockingIOError:
            return ""

    async def wait(self) -> None:
        """It ends when the last process inside is gone."""
        if self.process.poll() is None:
            ended = os.pidfd_open(self.process.pid)
            try:
                await readable(ended)
            finally:
                os.close(ended)
            self.process.wait()

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
            await self.wait()
            return
        self.ended = True
        self.kill()
        await self.wait()
        if self.first is None:
            await asyncio.to_thread(end_orphans)
        os.close(self.info)
        os.close(self.said)
        if self.first is not None:
            os.close(self.first)
        if self.group:
            await self.group.remove()


def end_orphans() -> None:
    """End the children of bubblewraps that were killed while they made them ready: they would wait for ever."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if is_orphan(folder):
                os.kill(int(folder.name), signal.SIGKILL)


def is_orphan(folder: Path) -> bool:
    """Whether it is process 1 of a sandbox to be, and its bubblewrap is gone."""
    if (folder / "comm").read_text() != COMM or INSIDE_PACKAGE.encode() not in (folder / "cmdline").read_bytes():
        return False
    status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
    numbers = status["NSpid"].split()
    parent = Path("/proc", status["PPid"].strip(), "comm")
    return len(numbers) > 1 and numbers[-1] == "1" and not (parent.exists() and parent.read_text() == COMM)


async def readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()

    def tell() -> None:
        if not future.done():
            future.set_result(None)

    loop.add_reader(descriptor, tell)
    try:
        await future
    finally:
        loop.remove_reader(descriptor)


async def read_to_brace(descriptor: int) -> bytes:
    """Read a pipe to the end of a JSON object, or of the pipe."""
    text = b""
    while not text.rstrip().endswith(b"}"):
        await readable(descriptor)
        chunk = os.read(descriptor, 4096)
        if not chunk:
            break
        text += chunk
    return text
