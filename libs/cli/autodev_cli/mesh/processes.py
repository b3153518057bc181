"""The processes that a supervisor keeps, and the nursery that forks them."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from autodev_cli.mesh.nursery import open_log

GONE = -signal.SIGKILL
"""What is said of a process whose nursery ended and took it along."""


class Process(Protocol):
    """A running process; `returncode` is None until it has ended, and negative for a signal."""

    @property
    def pid(self) -> int: ...

    @property
    def returncode(self) -> int | None: ...

    async def wait(self) -> int: ...

    def send_signal(self, signal: int) -> None: ...


@dataclass
class _Forked:
    """A process that a nursery forked, as far as the nursery has told."""

    pid: int
    returncode: int | None = None
    _ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def wait(self) -> int:
        await self._ended.wait()
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, signal: int) -> None:
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal)

    def end(self, code: int) -> None:
        self.returncode = code
        self._ended.set()


class Nursery:
    """Forks processes from one that has imported what they need; see nursery.py. An asynchronous context manager.

    Args:
        preload: modules to import besides those that every service needs.
        log: where the nursery itself says what went wrong.
        within: what it is run by, `nsenter --net=...`: processes are where their nursery is.
    """

    def __init__(self, preload: Sequence[str], log: Path, within: Sequence[str] = ()) -> None:
        self._preload = preload
        self._log = log
        self._within = within
        self._process: asyncio.subprocess.Process | None = None
        self._listening: asyncio.Task[None] | None = None
        self._opening = asyncio.Lock()
        self._starting: dict[str, asyncio.Future[_Forked]] = {}
        self._running: dict[int, _Forked] = {}

    async def __aenter__(self) -> "Nursery":
        await self._open()
        return self

    async def __aexit__(self, *exception: object) -> None:
        process = self._process
        if process is not None and process.stdin is not None:
            process.stdin.close()
        if self._listening is not None:
            await self._listening
        if process is not None:
            # It says nothing more, but may be there still: asyncio complains of one that outlives the loop.
            await process.wait()

    async def start(self, module: str, environment: Mapping[str, str], log: Path) -> Process:
        """Fork a process and let it become the module. Raises OSError where the nursery cannot be had."""
        async with self._opening:
            if self._process is None:
                await self._open()
        assert self._process is not None
        assert self._process.stdin is not None
        request = {"name": module, "module": module, "environment": dict(environment), "log": str(log.resolve())}
        started: asyncio.Future[_Forked] = asyncio.get_running_loop().create_future()
        self._starting[module] = started
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        return await started

    async def _open(self) -> None:
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(open_log(str(self._log)), "ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(*self._within, sys.executable, "-m", "autodev_cli.mesh.nursery", str(os.getpid()), *self._preload),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        assert self._process.stdout is not None
        self._listening = asyncio.create_task(self._listen(self._process.stdout))

    async def _listen(self, news: asyncio.StreamReader) -> None:
        async for line in news:
            told = json.loads(line)
            if (name := told.get("started")) is not None:
                forked = self._running[told["pid"]] = _Forked(told["pid"])
                self._starting.pop(name).set_result(forked)
            else:
                self._running.pop(told["pid"]).end(told["code"])
        self._forget()

    def _forget(self) -> None:
        """The nursery is gone, and the kernel has told its processes to end. The next start opens another."""
        self._process = None
        for started in self._starting.values():
            started.set_exception(OSError(f"the nursery ended; its log is {self._log}"))
        self._starting.clear()
        for forked in self._running.values():
            forked.end(GONE)
        self._running.clear()
