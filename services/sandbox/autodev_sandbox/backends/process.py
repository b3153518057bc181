"""Resource limits and a timeout, nothing more: for an operator who trusts the code, and says so."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

import autodev_sandbox
from autodev_sandbox import rootfs
from autodev_sandbox.backends import Facility, PoolStatus, Sandbox
from autodev_sandbox.backends.socket_channel import SocketChannel, channel_pair
from autodev_sandbox.execution import BackendUnavailable, IsolationLevel, Limits, Status
from autodev_sandbox.running import prove
from autodev_sandbox.wire import Confinement

PROGRAM = """
import sys
sys.path.append(sys.argv[1])
from autodev_sandbox.inside import kernel, supervisor
sys.path.pop()
kernel.hide()
supervisor.main()
"""
FOLDER_PREFIX = "autodev-sandbox-"
ABANDONED_AFTER_S = 3600.0
CONFINEMENT = Confinement(limits_memory=True)


class ProcessBackend:
    """The code can read this user's files and reach the network, and a process that it puts into a session of its own
    outlives the execution. Each is started when it is asked for: there is no pool."""

    level = IsolationLevel.PROCESS

    def __init__(self) -> None:
        self.in_use: set[ProcessSandbox] = set()
        self.ending: set[asyncio.Task[None]] = set()

    async def probe(self) -> str:
        await asyncio.to_thread(sweep)
        await prove(self)
        return "resource limits only: the code can read this user's files and reach the network"

    async def take(self, limits: Limits) -> Sandbox:
        sandbox = await ProcessSandbox.start()
        self.in_use.add(sandbox)
        return sandbox

    def retire(self, sandbox: Sandbox) -> None:
        assert isinstance(sandbox, ProcessSandbox)
        self.in_use.discard(sandbox)
        task = asyncio.create_task(sandbox.end())
        self.ending.add(task)
        task.add_done_callback(self.ending.discard)

    def facilities(self) -> list[Facility]:
        return [Facility("resource limits", True, "memory by process, descriptors, file size, no core dumps")]

    def pool_status(self) -> PoolStatus:
        return PoolStatus(in_use=len(self.in_use), ending=len(self.ending))

    async def close(self) -> None:
        await asyncio.gather(*self.ending, *(sandbox.end() for sandbox in self.in_use))  # noqa: TID251 -- all must close


class ProcessSandbox:
    """A supervisor as a process of ours, in a folder of its own."""

    level = IsolationLevel.PROCESS
    confinement = CONFINEMENT

    def __init__(self, process: asyncio.subprocess.Process, channel: SocketChannel, folder: str) -> None:
        self.process = process
        self.channel = channel
        self.folder = folder
        self.send = channel.send
        self.receive = channel.receive

    @classmethod
    async def start(cls) -> Self:
        """Raises BackendUnavailable."""
        package = str(Path(autodev_sandbox.__path__[0]).parent)
        folder = await asyncio.to_thread(tempfile.mkdtemp, prefix=FOLDER_PREFIX)
        channel, theirs = channel_pair()
        with theirs:
            try:
                process = await asyncio.create_subprocess_exec(
                    *(str(rootfs.interpreter()), *rootfs.OPTIONS, "-c", PROGRAM, package),
                    stdin=theirs.fileno(),
                    stdout=theirs.fileno(),
                    stderr=asyncio.subprocess.DEVNULL,
                    cwd=folder,
                    env=rootfs.ENVIRONMENT,
                    start_new_session=True,
                )
            except BaseException as error:
                channel.close()
                os.rmdir(folder)
                if isinstance(error, OSError):
                    raise BackendUnavailable(f"no process can be started: {error}") from error
                raise
        return cls(process, channel, folder)

    def oom_kills(self) -> int:
        return 0

    def peak_memory_bytes(self) -> int:
        return 0

    async def why_lost(self) -> Status:
        return Status.KILLED

    async def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        await self.process.wait()
        self.channel.close()
        await asyncio.to_thread(remove_tree, self.folder)


def sweep() -> None:
    """Remove the folders that a service which was killed left behind."""
    for folder in Path(tempfile.gettempdir()).glob(FOLDER_PREFIX + "*"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - folder.stat().st_mtime > ABANDONED_AFTER_S:
                remove_tree(str(folder))


def remove_tree(folder: str) -> None:
    """Remove what the code left, however deep, and though its owner may not enter it: there `shutil` gives up."""
    try:
        shutil.rmtree(folder)
    except (OSError, RecursionError):
        # `chmod` would follow a link that the code put there; `rm` does not.
        opening = [] if os.path.islink(folder) else [["chmod", "-R", "u+rwx"]]
        for command in (*opening, ["rm", "-rf"]):
            subprocess.run([*command, "--", folder], stderr=subprocess.DEVNULL, check=False)
