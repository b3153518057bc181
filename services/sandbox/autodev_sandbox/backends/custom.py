"""A sandbox of the user's own as a backend: executions go there whole, and its answers are judged as a supervisor's."""

import asyncio
import json
import logging
import marshal
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from autodev_runtime.errors import AutoDevError
from autodev_sandbox.backends import Facility, PoolStatus, Sandbox
from autodev_sandbox.execution import BackendUnavailable, IsolationLevel, Limits, Status
from autodev_sandbox.feed import Feed
from autodev_sandbox.inside import host
from autodev_sandbox.running import prove
from autodev_sandbox.wire import (
    CALL_HEAD,
    FRAME_HEAD,
    LENGTH,
    Confinement,
    Ending,
    Kind,
)
from autodev_sdk.ending import ended
from autodev_sdk.extensions import RawExecution, RawResult, RawStatus, SandboxProtocol

log = logging.getLogger(__name__)

KILLED_BY = 9
NS = 1_000_000_000
ANSWERS = (RawStatus.OK, RawStatus.ERROR)
# How much of a batch's outcomes waits for its reader: the next input is run when there is less.
AHEAD_BYTES = 64 * 1024


class CustomBackend:
    """Serves a level with the user's own sandbox. The level is what the operator declares: nobody else is asked."""

    def __init__(
        self,
        name: str,
        level: IsolationLevel,
        sandbox: SandboxProtocol,
        most_failures: int = 5,
        most_at_once: int = sys.maxsize,
    ) -> None:
        """`most_failures`: so many in a row take it out of use. One may be the doing of the code that ran there.

        `most_at_once`: what is more waits, since a sandbox that has much to do is not one that does not work.
        """
        self.name = name
        self.level = level
        self._sandbox = sandbox
        self._most_failures = most_failures
        self._failures = 0
        self._fault = "not tried yet"
        self._in_use: set[CustomSandbox] = set()
        self._ending: set[asyncio.Task[None]] = set()
        self._places = asyncio.Semaphore(most_at_once)

    async def probe(self) -> str:
        self._fault = ""
        try:
            await prove(self)
        except BackendUnavailable as error:
            self._fault = str(error)
            raise
        self._failures = 0
        return f"the extension {self.name!r}, which the operator declares to be {self.level.name}"

    async def take(self, limits: Limits) -> Sandbox:
        await self._places.acquire()
        if self._fault:
            self._places.release()
            raise BackendUnavailable(f"the extension {self.name!r}: {self._fault}")
        sandbox = CustomSandbox(self, self._sandbox, limits)
        self._in_use.add(sandbox)
        return sandbox

    def answered(self) -> None:
        """Take note of an answer that could be read."""
        self._failures = 0

    def failed(self, error: Exception) -> None:
        """Take note of a failure; of too many in a row, give no more sandboxes until a trial run succeeds."""
        self._failures += 1
        kind = _kind_of(error)
        log.warning("the extension %r failed an execution, %d in a row: %s", self.name, self._failures, kind)
        if self._failures >= self._most_failures:
            log.error("the extension %r is taken out of use: %d failures in a row", self.name, self._failures)
            self._fault = f"{self._failures} failures in a row, the last one: {kind}"

    def retire(self, sandbox: Sandbox) -> None:
        assert isinstance(sandbox, CustomSandbox)
        self._in_use.discard(sandbox)
        task = asyncio.create_task(sandbox.end())
        self._ending.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._ending.discard(task)
        self._places.release()

    def facilities(self) -> list[Facility]:
        return [Facility(f"extension {self.name}", not self._fault, self._fault or "a trial run came back right")]

    def pool_status(self) -> PoolStatus:
        return PoolStatus(in_use=len(self._in_use), ending=len(self._ending))

    async def close(self) -> None:
        await asyncio.gather(*self._ending, *(sandbox.end() for sandbox in self._in_use))  # noqa: TID251 -- all must close


class CustomSandbox:
    """One use of it. Speaks to its host as a supervisor does, so that one judge reads what every level answers."""

    confinement = Confinement()

    def __init__(self, backend: CustomBackend, sandbox: SandboxProtocol, limits: Limits) -> None:
        self.level = backend.level
        self._backend = backend
        self._sandbox = sandbox
        self._limits = limits
        self._pieces: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._frames: Feed[bytes] = Feed(AHEAD_BYTES)
        self._began = False
        self._nothing_ran = ""
        self._work = asyncio.create_task(self._answer())

    async def send(self, data: bytes) -> None:
        # Each is one piece, made by the host's own `wire`.
        self._pieces.put_nowait(marshal.loads(data[LENGTH.size :]))

    async def receive(self) -> bytes:
        return b"".join(await self._frames.take(AHEAD_BYTES))

    def oom_kills(self) -> int:
        return 0

    def peak_memory_bytes(self) -> int:
        return 0

    async def why_lost(self) -> Status:
        if self._nothing_ran:
            raise BackendUnavailable(self._nothing_ran)
        return Status.KILLED

    async def end(self) -> None:
        await ended(self._work)

    async def _answer(self) -> None:
        try:
            request = await self._pieces.get()
            await (self._calls(request) if "calls" in request else self._execution(request))
            self._backend.answered()
        except Exception as error:  # A user's sandbox may raise anything; whatever ran there is over.
            if isinstance(error, BackendUnavailable) and not self._began:
                self._nothing_ran = str(error)
            else:
                self._backend.failed(error)
        finally:
            self._frames.end()

    async def _execution(self, request: dict[str, Any]) -> None:
        asked = self._asked(request, request["inputs"])
        result = bounded(
            await self._sandbox.execute_raw_python(
                replace(asked, input_files=request["input_files"], output_files=tuple(request["output_files"]))
            ),
            self._limits,
        )
        for path in request["output_files"]:
            if path in result.files:
                self._say(Kind.FILE, path.encode() + b"\0" + result.files[path])
        if request["streams"]:
            self._say(Kind.STDOUT, result.stdout)
            self._say(Kind.STDERR, result.stderr)
            result = replace(result, stdout=b"", stderr=b"")
        report = report_of(result, self._limits, expects_value=bool(asked.entry_point), ending=Ending.EXITED)
        self._say(Kind.REPORT, report)

    async def _calls(self, request: dict[str, Any]) -> None:
        for index in range(request["calls"]):
            asked = self._asked(request, await self._pieces.get())
            last, times_s, varied = await self._repeated(asked, request["repeat"])
            times = b"".join(int(each * NS).to_bytes(8) for each in times_s)
            ending = Ending.ANSWERED if last.status in ANSWERS else Ending.EXITED
            report = report_of(last, self._limits, expects_value=True, ending=ending)
            self._say(Kind.CALL, CALL_HEAD.pack(index, len(times_s), varied) + times + report)
            if ending is not Ending.ANSWERED:
                return
            await self._frames.room()

    async def _repeated(self, asked: RawExecution, repeat: int) -> tuple[RawResult, list[float], bool]:
        """The last call's result, the time of each, and whether two answered differently. One that gives no answer is
        the last. Each is an isolation of its own, so there is nothing that a first one could warm up."""
        self._began = False
        result = bounded(await self._sandbox.execute_raw_python(asked), self._limits)
        self._began = True
        times_s, varied = [result.duration_s], False
        while result.status in ANSWERS and len(times_s) < repeat:
            before, result = result, bounded(await self._sandbox.execute_raw_python(asked), self._limits)
            times_s.append(result.duration_s)
            varied = varied or (result.status in ANSWERS and _differ(before, result))
        return result, times_s, varied

    def _asked(self, request: dict[str, Any], inputs: dict[str, Any]) -> RawExecution:
        return RawExecution(
            code=request["code"],
            entry_point=request["entry_point"],
            inputs=inputs,
            timeout_s=self._limits.timeout_s,
            memory_bytes=self._limits.memory_bytes,
            cpus=self._limits.cpus,
            output_bytes=self._limits.output_bytes,
            processes=self._limits.processes,
        )

    def _say(self, kind: Kind, body: bytes) -> None:
        frame = FRAME_HEAD.pack(kind.value, len(body)) + body
        self._frames.put(frame, len(frame))


def _kind_of(error: Exception) -> str:
    """What may be told of an error to whoever reads logs or asks for the level: its words may quote the code."""
    if isinstance(error, AutoDevError):
        return " ".join(filter(None, (error.reason, error.metadata.get("code"))))
    return type(error).__name__


def bounded(result: RawResult, limits: Limits) -> RawResult:
    """The result, or what is left of it where it is more than the execution may give. Raises TypeError."""
    if not isinstance(result, RawResult):
        raise TypeError(f"gave a {type(result).__name__} and no RawResult")
    printed = len(result.stdout) + len(result.stderr)
    files = sum(map(len, result.files.values()))
    if printed <= limits.output_bytes and files <= limits.file_bytes:
        return result
    stdout = result.stdout[: limits.output_bytes]
    return replace(
        result,
        status=RawStatus.OUTPUT_LIMIT,
        value=None,
        stdout=stdout,
        stderr=result.stderr[: limits.output_bytes - len(stdout)],
        files={},
    )


@dataclass(frozen=True, slots=True)
class _Told:
    """What a status is in a supervisor's words."""

    ending: Ending | None = None
    signal: int = 0
    oom_kills: int = 0


_TOLD = {
    RawStatus.OK: _Told(),
    RawStatus.ERROR: _Told(),
    RawStatus.TIMEOUT: _Told(Ending.TIMEOUT),
    RawStatus.OUTPUT_LIMIT: _Told(Ending.OUTPUT_LIMIT),
    RawStatus.OOM: _Told(signal=KILLED_BY, oom_kills=1),
    RawStatus.KILLED: _Told(signal=KILLED_BY),
}


def report_of(result: RawResult, limits: Limits, *, expects_value: bool, ending: Ending) -> bytes:
    """The result as a supervisor's report, which holds a value or an error that is within its bounds."""
    told = _TOLD[result.status]
    message, exit_code = b"", result.exit_code
    if result.status is RawStatus.ERROR and result.error is not None:
        message = _error(*result.error)
    elif result.status is RawStatus.ERROR:
        exit_code = exit_code or 1
    elif result.status is RawStatus.OK:
        exit_code, message = _value(result.value) if expects_value else (0, b"")
        if exit_code == 0 and len(message) > host.most_value_bytes(limits.output_bytes):
            told, message = _TOLD[RawStatus.OUTPUT_LIMIT], b""
    parts = (result.stdout, result.stderr, message)
    return b" ".join(_figures(result, told, told.ending or ending, exit_code, parts)) + b"\n" + b"".join(parts)


def _value(value: object) -> tuple[int, bytes]:
    """The exit code, and the message. One that is not JSON-shaped is the code's fault, not the sandbox's."""
    try:
        return 0, _json({"value": value})
    except (ValueError, TypeError, RecursionError) as error:
        return 1, _error("TypeError", f"the result is not JSON-shaped: {error}", "")


def _error(kind: str, words: str, frames: str) -> bytes:
    """The error; of one that is longer than it may be, how it begins, and where in the code it was raised."""
    message = _json({"error": {"type": kind, "message": words, "traceback": frames}})
    if len(message) <= host.ERROR_BYTES:
        return message
    most = host.CUT_CHARACTERS
    return _json({"error": {"type": kind[:most], "message": words[:most], "traceback": frames[-most:]}})


def _differ(one: RawResult, other: RawResult) -> bool:
    """Whether they are different answers. Values that are nested too deep to be compared are errors anyhow."""
    try:
        return (one.status, one.value, one.error) != (other.status, other.value, other.error)
    except RecursionError:
        return False


def _figures(
    result: RawResult, told: _Told, ending: Ending, exit_code: int, parts: tuple[bytes, ...]
) -> Iterator[bytes]:
    numbers = (
        ending.value,
        min(max(0, exit_code), 255),
        told.signal,
        int(max(0.0, result.duration_s) * 1e6),
        max(0, result.peak_memory_bytes),
        told.oom_kills,
        *map(len, parts),
    )
    return (b"%d" % number for number in numbers)


def _json(message: dict[str, Any]) -> bytes:
    return json.dumps(message, allow_nan=False).encode()
