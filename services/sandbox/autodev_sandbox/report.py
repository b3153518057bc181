"""The wire between the host and the supervisor inside, and what a report means."""

import json
import marshal
import signal
from dataclasses import dataclass
from enum import Enum
from typing import Final

from autodev_runtime.json_value import JsonValue
from autodev_sandbox.execution import Execution, ExecutionError, IsolationLevel, Outcome, Status
from autodev_sandbox.json_value import NotJsonShaped, check_json

MAX_HEADER_BYTES: Final = 256
MAX_FIGURE: Final = 2**53

Verdict = tuple[Status, JsonValue, ExecutionError | None]


class Ending(Enum):
    """Why the supervisor ended the execution (the numbers are `inside/supervisor.py`'s)."""

    EXITED = 0
    TIMEOUT = 1
    OUTPUT_LIMIT = 2


@dataclass(frozen=True)
class Report:
    """What the supervisor saw. Of everything here the code's process can make up one thing, its `message`."""

    ending: Ending
    exit_code: int
    signal: int
    duration_s: float
    peak_memory_bytes: int
    oom_kills: int
    stdout: bytes
    stderr: bytes
    message: bytes


class BrokenReport(Exception):
    """The supervisor went away, or what it sent is no report."""


@dataclass(frozen=True)
class Confinement:
    """What the code's process does to itself before the code runs, where the sandbox around it does not do it already.

    `hide_supervisor`: the code shares /proc with the supervisor. `reads_cgroup`: the sandbox shows its own cgroup.
    `limits_memory`, `limits_processes`: no cgroup does, so resource limits must.
    """

    hide_supervisor: bool = False
    reads_cgroup: bool = False
    limits_memory: bool = False
    limits_processes: bool = False


def encode_request(execution: Execution, confinement: Confinement) -> bytes:
    limits = execution.limits
    request = marshal.dumps(
        {
            "code": execution.code,
            "entry_point": execution.entry_point,
            "inputs": dict(execution.inputs),
            "timeout_s": limits.timeout_s,
            "output_bytes": limits.output_bytes,
            "file_bytes": limits.tmp_bytes,
            "address_space_bytes": limits.memory_bytes if confinement.limits_memory else None,
            "processes": limits.processes if confinement.limits_processes else None,
            "hide_supervisor": confinement.hide_supervisor,
            "reads_cgroup": confinement.reads_cgroup,
        }
    )
    return len(request).to_bytes(4, "big") + request


class ReportReader:
    """Puts a report together from the pieces a channel gives; bounded, whatever is sent."""

    def __init__(self, output_bytes: int) -> None:
        self.max_bytes = MAX_HEADER_BYTES + 2 * output_bytes
        self.data = bytearray()

    def feed(self, chunk: bytes) -> Report | None:
        """Take a piece; the report once it is whole. Raises BrokenReport."""
        self.data += chunk
        if len(self.data) > self.max_bytes:
            raise BrokenReport("it is too long")
        header, newline, body = bytes(self.data).partition(b"\n")
        if not newline:
            if len(header) > MAX_HEADER_BYTES:
                raise BrokenReport("its header is too long")
            return None
        figures = parse_header(header)
        ending, exit_code, signal_number, duration_us, peak, oom_kills, *sizes = figures
        if len(body) < sum(sizes):
            return None
        stdout_end, stderr_end = sizes[0], sizes[0] + sizes[1]
        return Report(
            Ending(ending),
            exit_code,
            signal_number,
            duration_us / 1e6,
            peak,
            oom_kills,
            body[:stdout_end],
            body[stdout_end:stderr_end],
            body[stderr_end : stderr_end + sizes[2]],
        )


def parse_header(header: bytes) -> list[int]:
    words = header.split(b" ")
    if len(words) != 9 or not all(word.isdigit() and len(word) < 17 for word in words):
        raise BrokenReport("its header is not nine numbers")
    figures = [int(word) for word in words]
    if figures[0] not in {ending.value for ending in Ending} or max(figures) > MAX_FIGURE:
        raise BrokenReport("a figure is out of range")
    return figures


def outcome_of(execution: Execution, report: Report, level: IsolationLevel, peak_bytes: int, oom_kills: int) -> Outcome:
    """What a report means. `peak_bytes` and `oom_kills` are what the host itself saw, 0 where it cannot."""
    status, value, error = judge(execution, report, report.oom_kills + oom_kills)
    return Outcome(
        status=status,
        level=level,
        value=value,
        error=error,
        stdout=report.stdout.decode(errors="replace"),
        stderr=report.stderr.decode(errors="replace"),
        exit_code=128 + report.signal if report.signal else report.exit_code,
        duration_s=report.duration_s,
        peak_memory_bytes=max(report.peak_memory_bytes, peak_bytes),
    )


def judge(execution: Execution, report: Report, oom_kills: int) -> Verdict:
    if report.ending is Ending.TIMEOUT:
        return Status.TIMEOUT, None, None
    if report.ending is Ending.OUTPUT_LIMIT:
        return Status.OUTPUT_LIMIT, None, None
    if report.signal:
        return (Status.OOM if oom_kills and report.signal == signal.SIGKILL else Status.KILLED), None, None
    return judge_message(execution, report, oom_kills)


def judge_message(execution: Execution, report: Report, oom_kills: int) -> Verdict:
    try:
        message = parse_message(report.message)
    except NotJsonShaped as error:
        return Status.ERROR, None, ExecutionError("TypeError", f"the result is not JSON-shaped: {error}")
    if isinstance(message, ExecutionError):
        ran_out = message.type == "MemoryError" or oom_kills
        return (Status.OOM if ran_out else Status.ERROR), None, message
    if report.exit_code == 0 and (message or not execution.entry_point):
        return Status.OK, message["value"] if message else None, None
    ended = ExecutionError("SystemExit", f"exited with code {report.exit_code} before giving a result")
    return (Status.OOM if oom_kills else Status.ERROR), None, ended


def parse_message(text: bytes) -> dict[str, JsonValue] | ExecutionError:
    """The value as {"value": ...}, nothing as {}, or the error. Made by the code's process: trusted in nothing."""
    if not text:
        return {}
    try:
        message = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NotJsonShaped("it is no JSON text") from error
    match message:
        case {"value": value}:
            check_json(value)
            return {"value": value}
        case {"error": {"type": str(kind), "message": str(words), "traceback": str(frames)}}:
            return ExecutionError(printable(kind), printable(words), printable(frames))
    raise NotJsonShaped("it is neither a value nor an error")


def printable(text: str) -> str:
    return text.encode(errors="replace").decode()
