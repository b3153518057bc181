"""The wire between the host and the supervisor inside, and what a report means.

To the supervisor: one request, then for `Calls` one piece an input; each is four bytes of length and that many bytes.
From it: frames of a kind, four bytes of length, and that many bytes (`inside/host.py` writes them).
"""

import json
import marshal
import signal
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from autodev_runtime.json_value import JsonValue
from autodev_sandbox.execution import Calls, Execution, ExecutionError, IsolationLevel, Limits, Outcome, Status
from autodev_sandbox.inside import host
from autodev_sandbox.json_value import NotJsonShaped, check_json

MAX_FIGURES_BYTES: Final = 256
MAX_FIGURE: Final = 2**53
MAX_PATH_BYTES: Final = 1024
LENGTH: Final = struct.Struct(">I")
FRAME_HEAD: Final = struct.Struct(">cI")
CALL_HEAD: Final = struct.Struct(">II?")

Verdict = tuple[Status, JsonValue, ExecutionError | None]


class Ending(Enum):
    """Why the supervisor ended the execution."""

    EXITED = host.EXITED
    TIMEOUT = host.TIMEOUT
    OUTPUT_LIMIT = host.OUTPUT_LIMIT
    ANSWERED = host.ANSWERED


ENDINGS: Final = frozenset(ending.value for ending in Ending)


class Kind(Enum):
    """What a frame holds."""

    STDOUT = host.STDOUT
    STDERR = host.STDERR
    FILE = host.FILE
    UNLOADED = host.UNLOADED
    CALL = host.CALL
    REPORT = host.REPORT


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


@dataclass(frozen=True)
class CallReport:
    """What the supervisor saw of one input's calls; `report` is the last one's."""

    index: int
    varied: bool
    call_s: tuple[float, ...]
    report: Report


class BrokenReport(Exception):
    """The supervisor went away, or what it sent is no report."""


@dataclass(frozen=True)
class Confinement:
    """What the supervisor and the code's process do where the sandbox around them does not do it already.

    `reads_cgroup`: the sandbox shows its own cgroup. `limits_memory`, `limits_processes`: no cgroup does, so resource
    limits must. `filter`: a system call filter to load.
    """

    filter: bytes = b""
    reads_cgroup: bool = False
    limits_memory: bool = False
    limits_processes: bool = False


def encode_execution(execution: Execution, confinement: Confinement, *, streams: bool) -> bytes:
    """The request of one execution. `streams`: output is sent as it comes."""
    return piece(
        common_request(execution.code, execution.entry_point, execution.limits, confinement)
        | {
            "inputs": dict(execution.inputs),
            "streams": streams,
            "input_files": dict(execution.input_files),
            "output_files": list(execution.output_files),
        }
    )


def encode_calls(calls: Calls, start: int, confinement: Confinement) -> Iterator[bytes]:
    """The request of calls on `inputs[start:]`, then each input."""
    rest = calls.inputs[start:]
    rounds = {"streams": False, "calls": len(rest), "warmup": calls.warmup, "repeat": calls.repeat}
    yield piece(common_request(calls.code, calls.entry_point, calls.limits, confinement) | rounds)
    for inputs in rest:
        yield piece(dict(inputs))


def common_request(code: str, entry_point: str, limits: Limits, confinement: Confinement) -> dict[str, Any]:
    return {
        "code": code,
        "entry_point": entry_point,
        "timeout_s": limits.timeout_s,
        "output_bytes": limits.output_bytes,
        "tmp_bytes": limits.tmp_bytes,
        "file_bytes": limits.file_bytes,
        "address_space_bytes": limits.memory_bytes if confinement.limits_memory else None,
        "processes": limits.processes if confinement.limits_processes else None,
        "reads_cgroup": confinement.reads_cgroup,
        "filter": confinement.filter,
    }


def piece(value: dict[str, Any]) -> bytes:
    data = marshal.dumps(value)
    return LENGTH.pack(len(data)) + data


class FrameReader:
    """Takes a supervisor's stream apart into frames; bounded, whatever is sent."""

    def __init__(self, limits: Limits, more_bytes: int = 0) -> None:
        report_bytes = limits.output_bytes + host.most_message_bytes(limits.output_bytes)
        self.max_bytes = more_bytes + 2 * MAX_FIGURES_BYTES + MAX_PATH_BYTES + max(report_bytes, limits.file_bytes)
        self.data = bytearray()

    def feed(self, chunk: bytes) -> Iterator[tuple[Kind, bytes]]:
        """Take a piece; the frames that are now whole. Raises BrokenReport."""
        self.data += chunk
        start = 0
        while len(self.data) >= start + FRAME_HEAD.size:
            letter, size = FRAME_HEAD.unpack_from(self.data, start)
            if size > self.max_bytes:
                raise BrokenReport("a frame is too long")
            end = start + FRAME_HEAD.size + size
            if len(self.data) < end:
                break
            yield kind_of(letter), bytes(self.data[start + FRAME_HEAD.size : end])
            start = end
        del self.data[:start]


def kind_of(letter: bytes) -> Kind:
    try:
        return Kind(letter)
    except ValueError:
        raise BrokenReport("a frame is of no known kind") from None


def parse_report(body: bytes) -> Report:
    """A line of numbers, then stdout, stderr and message. Raises BrokenReport."""
    line, newline, rest = body.partition(b"\n")
    if not newline or len(line) > MAX_FIGURES_BYTES:
        raise BrokenReport("a report has no line of figures")
    ending, exit_code, signal_number, duration_us, peak, oom_kills, *sizes = parse_figures(line)
    if len(rest) != sum(sizes):
        raise BrokenReport("a report is not as long as it says")
    stdout_end, stderr_end = sizes[0], sizes[0] + sizes[1]
    return Report(
        Ending(ending),
        exit_code,
        signal_number,
        duration_us / 1e6,
        peak,
        oom_kills,
        rest[:stdout_end],
        rest[stdout_end:stderr_end],
        rest[stderr_end:],
    )


def parse_figures(line: bytes) -> list[int]:
    words = line.split(b" ")
    lengths = list(map(len, words))
    if len(words) != 9 or min(lengths) < 1 or max(lengths) > 16 or not b"".join(words).isdigit():
        raise BrokenReport("a report's figures are not nine numbers")
    figures = list(map(int, words))
    if figures[0] not in ENDINGS or max(figures) > MAX_FIGURE:
        raise BrokenReport("a figure is out of range")
    return figures


def parse_call(body: bytes) -> CallReport:
    """Index, number of timed calls, whether they varied; the calls' nanoseconds; the report. Raises BrokenReport."""
    try:
        index, count, varied = CALL_HEAD.unpack_from(body)
        times_ns = struct.unpack_from(f">{count}Q", body, CALL_HEAD.size)
    except struct.error:
        raise BrokenReport("a call's report is too short") from None
    rest = body[CALL_HEAD.size + 8 * count :]
    return CallReport(index, varied, tuple(ns / 1e9 for ns in times_ns), parse_report(rest))


def parse_file(body: bytes) -> tuple[str, bytes]:
    """A path and what the file holds. Raises BrokenReport."""
    path, zero, content = body.partition(b"\0")
    if not zero:
        raise BrokenReport("a file has no name")
    return path.decode(errors="replace"), content


def outcome_of(
    report: Report, level: IsolationLevel, *, output_bytes: int, expects_value: bool, peak_bytes: int, oom_kills: int
) -> Outcome:
    """What a report means. `peak_bytes` and `oom_kills` are what the host itself saw, 0 where it cannot."""
    status, value, error = judge(report, report.oom_kills + oom_kills, expects_value)
    if status is Status.OK and len(report.message) > host.most_value_bytes(output_bytes):
        status, value = Status.OUTPUT_LIMIT, None
    return Outcome(
        status=status,
        level=level,
        value=value,
        value_bytes=len(report.message) if status is Status.OK else 0,
        error=error,
        stdout=report.stdout.decode(errors="replace"),
        stderr=report.stderr.decode(errors="replace"),
        exit_code=128 + report.signal if report.signal else report.exit_code,
        duration_s=report.duration_s,
        peak_memory_bytes=max(report.peak_memory_bytes, peak_bytes),
    )


def judge(report: Report, oom_kills: int, expects_value: bool) -> Verdict:
    if report.ending is Ending.TIMEOUT:
        return Status.TIMEOUT, None, None
    if report.ending is Ending.OUTPUT_LIMIT:
        return Status.OUTPUT_LIMIT, None, None
    if report.signal:
        return (Status.OOM if oom_kills and report.signal == signal.SIGKILL else Status.KILLED), None, None
    return judge_message(report, oom_kills, expects_value)


def judge_message(report: Report, oom_kills: int, expects_value: bool) -> Verdict:
    try:
        message = parse_message(report.message)
    except NotJsonShaped as error:
        return Status.ERROR, None, ExecutionError("TypeError", f"the result is not JSON-shaped: {error}")
    if isinstance(message, ExecutionError):
        ran_out = message.type == "MemoryError" or oom_kills
        return (Status.OOM if ran_out else Status.ERROR), None, message
    if report.exit_code == 0 and (message or not expects_value):
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
        # Alone: what comes beside it has been told from a value by its beginning, and may be longer.
        case {"value": value} if len(message) == 1:
            check_json(value)
            return {"value": value}
        case {"error": {"type": str(kind), "message": str(words), "traceback": str(frames)}}:
            return ExecutionError(printable(kind), printable(words), printable(frames))
    raise NotJsonShaped("it is neither a value nor an error")


def printable(text: str) -> str:
    return text.encode(errors="replace").decode()
