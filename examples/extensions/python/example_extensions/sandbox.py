"""A sandbox by bubblewrap: namespaces of its own, no network, none of the machine's files but Python's.

An operator declares how strong that is: AUTODEV_SANDBOX_EXTENSION_LEVELS=example.bwrap=namespace
"""

import asyncio
import base64
import contextlib
import json
import os
import sys
import time
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from autodev_sdk.extensions import RawExecution, RawResult, RawStatus

RUNNER = resources.files("example_extensions").joinpath("runner.py").read_text(encoding="utf-8")
MOST_ANSWER_BYTES = 8 * 1024 * 1024


class BubblewrapSandbox:
    """One bubblewrap for each execution, which ends with it."""

    async def execute_raw_python(self, execution: RawExecution) -> RawResult:
        """Run code once. Cancelled, or late, it ends the code."""
        answer, answer_in = os.pipe()
        started_s = time.monotonic()
        try:
            process = await asyncio.create_subprocess_exec(
                *command(answer_in),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                pass_fds=(answer_in,),
            )
        except BaseException:
            os.close(answer)
            raise
        finally:
            os.close(answer_in)
        try:
            async with asyncio.timeout(execution.timeout_s):
                printed = await run(process, execution, answer)
        except TimeoutError:
            return RawResult(RawStatus.TIMEOUT, duration_s=time.monotonic() - started_s)
        finally:
            await end(process)
        if len(printed[0]) + len(printed[1]) > execution.output_bytes:
            return RawResult(RawStatus.OUTPUT_LIMIT, duration_s=time.monotonic() - started_s)
        return result_of(*printed, process.returncode or 0, time.monotonic() - started_s)


def command(answer: int) -> list[str]:
    """Bubblewrap around the runner: what there is of the machine is Python, and what Python needs."""
    home = sys.base_prefix
    shown = ["--ro-bind", "/usr", "/usr", "--ro-bind", home, home]
    for name in ("lib", "lib64", "bin"):
        shown += ["--symlink", f"usr/{name}", f"/{name}"] if Path(f"/{name}").is_symlink() else []
    return [
        *("bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv"),
        *shown,
        *("--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--chdir", "/tmp"),
        *(f"{home}/bin/python3", "-I", "-S", "-c", RUNNER, str(answer)),
    ]


async def run(process: asyncio.subprocess.Process, execution: RawExecution, answer: int) -> tuple[bytes, bytes, bytes]:
    """What it printed, and what it answered; one that says more than it may is ended there."""
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    reader = asyncio.StreamReader()
    pipe, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(answer, "rb")
    )
    process.stdin.write(request_of(execution))
    process.stdin.write_eof()
    try:
        return await asyncio.gather(
            upto(process.stdout, execution.output_bytes, process),
            upto(process.stderr, execution.output_bytes, process),
            upto(reader, MOST_ANSWER_BYTES, process),
        )
    finally:
        pipe.close()


async def upto(stream: asyncio.StreamReader, most: int, process: asyncio.subprocess.Process) -> bytes:
    """All of a stream, or one byte more than it may have: the process is ended then."""
    data = bytearray()
    while chunk := await stream.read(65536):
        data += chunk[: most + 1 - len(data)]
        if len(data) > most:
            kill(process)
    return bytes(data)


async def end(process: asyncio.subprocess.Process) -> None:
    """End it, and read what is left: a pipe that nobody reads would keep it from ever being over."""
    kill(process)
    for stream in (process.stdout, process.stderr):
        while stream is not None and await stream.read(65536):
            pass
    await process.wait()


def kill(process: asyncio.subprocess.Process) -> None:
    """End it now; one that is gone is gone."""
    with contextlib.suppress(ProcessLookupError):
        process.kill()


def request_of(execution: RawExecution) -> bytes:
    """The execution as the runner reads it."""
    return json.dumps(
        {
            "code": execution.code,
            "entry_point": execution.entry_point,
            "inputs": dict(execution.inputs),
            "memory_bytes": execution.memory_bytes,
            "input_files": {path: base64.b64encode(data).decode() for path, data in execution.input_files.items()},
            "output_files": execution.output_files,
        }
    ).encode()


def result_of(stdout: bytes, stderr: bytes, answer: bytes, exit_code: int, duration_s: float) -> RawResult:
    """What came of it. The answer was written beside the code, which may have written anything there."""
    said = None if exit_code < 0 else answer_of(answer)
    if said is None:
        status = RawStatus.KILLED if exit_code < 0 else RawStatus.ERROR
        return RawResult(status, stdout=stdout, stderr=stderr, exit_code=max(1, exit_code), duration_s=duration_s)
    return RawResult(
        RawStatus.ERROR if said.error else RawStatus.OK,
        value=said.value,
        error=said.error,
        stdout=stdout,
        stderr=stderr,
        exit_code=1 if said.error else exit_code,
        duration_s=duration_s,
        files=said.files,
    )


@dataclass(frozen=True)
class Answer:
    """What the runner says: a value or an error, and files."""

    value: Any
    error: tuple[str, str, str] | None
    files: dict[str, bytes]


def answer_of(text: bytes) -> Answer | None:
    """The runner's answer; None where it gave none, or the code something else in its place."""
    try:
        match json.loads(text):
            case {"error": [str(kind), str(words), str(frames)], "files": dict(files)}:
                return Answer(None, (kind, words, frames), decoded(files))
            case {"value": value, "files": dict(files)}:
                return Answer(value, None, decoded(files))
    except (ValueError, TypeError, RecursionError):
        pass
    return None


def decoded(files: dict[str, Any]) -> dict[str, bytes]:
    """The files' contents. Raises ValueError, TypeError."""
    return {path: base64.b64decode(data) for path, data in files.items()}
