"""Talking to a supervisor that is a process of ours: the request on its stdin, the report on its stdout."""

import asyncio
import contextlib

from autodev_sandbox.execution import Execution, IsolationLevel, Outcome, Status
from autodev_sandbox.report import BrokenReport, Report, ReportReader

CHUNK_BYTES = 65536
# For starting the interpreter, and for telling the result, on a busy machine.
GRACE_S = 10.0


async def exchange(process: asyncio.subprocess.Process, request: bytes, execution: Execution) -> Report | None:
    """Send the request and wait for the report; None when the supervisor died. Raises TimeoutError when it is stuck."""
    async with asyncio.timeout(execution.limits.timeout_s + GRACE_S):
        assert process.stdin
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            process.stdin.write(request)
            await process.stdin.drain()
        assert process.stdout
        reader = ReportReader(execution.limits.output_bytes)
        while chunk := await process.stdout.read(CHUNK_BYTES):
            try:
                if report := reader.feed(chunk):
                    return report
            except BrokenReport:
                return None
    return None


def lost(level: IsolationLevel, status: Status, duration_s: float, peak_memory_bytes: int = 0) -> Outcome:
    """The outcome of an execution whose supervisor was taken away with it."""
    return Outcome(status, level, exit_code=137, duration_s=duration_s, peak_memory_bytes=peak_memory_bytes)
