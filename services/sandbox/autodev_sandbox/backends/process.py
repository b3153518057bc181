"""Resource limits and a timeout, nothing more: for an operator who trusts the code, and says so."""

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
import time
from pathlib import Path

import autodev_sandbox
from autodev_sandbox import rootfs
from autodev_sandbox.backends import prove
from autodev_sandbox.backends.pipes import exchange, lost
from autodev_sandbox.execution import BackendUnavailable, Execution, IsolationLevel, Outcome, Status
from autodev_sandbox.report import Confinement, encode_request, outcome_of

PROGRAM = """
import sys
sys.path.append(sys.argv[1])
from autodev_sandbox.inside.supervisor import main
sys.path.pop()
main()
"""
FOLDER_PREFIX = "autodev-sandbox-"
ABANDONED_AFTER_S = 3600.0
CONFINEMENT = Confinement(hide_supervisor=True, limits_memory=True)


class ProcessBackend:
    """The code can read this user's files and reach the network, and a process that it puts into a session of its own
    outlives the execution."""

    level = IsolationLevel.PROCESS

    async def probe(self) -> str:
        await asyncio.to_thread(sweep)
        await prove(self)
        return "resource limits only: the code can read this user's files and reach the network"

    async def run(self, execution: Execution) -> Outcome:
        started_s = time.monotonic()
        with tempfile.TemporaryDirectory(prefix=FOLDER_PREFIX, ignore_cleanup_errors=True) as folder:
            process = await self.start(folder)
            try:
                report = await exchange(process, encode_request(execution, CONFINEMENT), execution)
                if report is None:
                    return lost(self.level, Status.KILLED, time.monotonic() - started_s)
                return outcome_of(execution, report, self.level, peak_bytes=0, oom_kills=0)
            except TimeoutError:
                return lost(self.level, Status.TIMEOUT, time.monotonic() - started_s)
            finally:
                await asyncio.shield(self.end(process))

    async def close(self) -> None:
        """Nothing outlives an execution."""

    async def start(self, folder: str) -> asyncio.subprocess.Process:
        package = str(Path(autodev_sandbox.__path__[0]).parent)
        try:
            return await asyncio.create_subprocess_exec(
                *(str(rootfs.interpreter()), *rootfs.OPTIONS, "-c", PROGRAM, package),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                cwd=folder,
                env=rootfs.ENVIRONMENT,
                start_new_session=True,
            )
        except OSError as error:
            raise BackendUnavailable(f"no process can be started: {error}") from error

    async def end(self, process: asyncio.subprocess.Process) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def sweep() -> None:
    """Remove the folders that a service which was killed left behind."""
    for folder in Path(tempfile.gettempdir()).glob(FOLDER_PREFIX + "*"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - folder.stat().st_mtime > ABANDONED_AFTER_S:
                shutil.rmtree(folder, ignore_errors=True)
