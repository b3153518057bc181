"""Talks to the supervisor of a started sandbox: hands it an execution, and makes an outcome of what it answers."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Final

from autodev_sandbox import wire
from autodev_sandbox.backends import Backend, Sandbox
from autodev_sandbox.execution import (
    BackendUnavailable,
    CallOutcome,
    Calls,
    Execution,
    Limits,
    Outcome,
    Status,
    Stream,
)
from autodev_sandbox.sizes import by_size
from autodev_sandbox.wire import BrokenReport, Kind
from autodev_sdk.ending import ended

# For starting, and for telling the result, on a busy machine.
GRACE_S: Final = 10.0
LOST_EXIT_CODE: Final = 137
STREAMS: Final = {Kind.STDOUT: Stream.STDOUT, Kind.STDERR: Stream.STDERR}
PROBE: Final = Execution(
    code="def probe(word): return [word, 1]", entry_point="probe", inputs={"word": "ready"}, limits=Limits(timeout_s=10)
)

Heard = Callable[[Stream, bytes], None]


async def run(sandbox: Sandbox, execution: Execution, heard: Heard | None = None) -> Outcome:
    """Run it. With `heard`, output is given to that as it comes, and not in the outcome.

    Raises BackendUnavailable when the sandbox never was there, so that nothing ran.
    """
    started_s = time.monotonic()
    files: dict[str, bytes] = {}
    try:
        async with (
            asyncio.timeout(execution.limits.timeout_s + GRACE_S),
            aclosing(frames(sandbox, execution.limits)) as answers,
        ):
            await sandbox.send(wire.encode_execution(execution, sandbox.confinement, streams=heard is not None))
            async for kind, body in answers:
                if kind is Kind.REPORT:
                    report, expects_value = wire.parse_report(body), bool(execution.entry_point)
                    outcome = await outcome_of(sandbox, report, execution.limits, expects_value=expects_value)
                    return replace(outcome, files=files)
                if kind is Kind.FILE:
                    path, files[path] = wire.parse_file(body)
                elif heard and kind in STREAMS:
                    heard(STREAMS[kind], body)
        return lost(sandbox, await sandbox.why_lost(), started_s)
    except TimeoutError:
        return lost(sandbox, Status.TIMEOUT, started_s)
    except BrokenReport:
        return lost(sandbox, Status.KILLED, started_s)


async def run_calls(sandbox: Sandbox, calls: Calls, start: int = 0) -> AsyncGenerator[CallOutcome, None]:
    """The outcomes of `inputs[start:]`, in order.

    Ends with the input that ended the interpreter: go on with another sandbox from the next. Where the code cannot be
    loaded, every input has that outcome. Raises BackendUnavailable, as `run`, where the next input never began.
    """
    patience_s = calls.limits.timeout_s * (calls.warmup + calls.repeat) + GRACE_S
    started_s = time.monotonic()
    index, total = start, len(calls.inputs)
    sending = asyncio.create_task(send_all(sandbox, calls, start))
    answers = frames(sandbox, calls.limits, 8 * calls.repeat, patience_s)
    try:
        async for kind, body in answers:
            if kind is Kind.UNLOADED:
                outcome = await outcome_of(sandbox, wire.parse_report(body), calls.limits, expects_value=True)
                for place in range(index, total):
                    yield CallOutcome(place, outcome)
                return
            if kind is not Kind.CALL:
                raise BrokenReport("no report of a call")
            call = wire.parse_call(body)
            yield await call_outcome_of(sandbox, call, calls.limits, index, last=index == total - 1)
            index += 1
            if index == total or call.report.ending is not wire.Ending.ANSWERED:
                return
        yield CallOutcome(index, lost(sandbox, await sandbox.why_lost(), started_s))
    except TimeoutError:
        yield CallOutcome(index, lost(sandbox, Status.TIMEOUT, started_s))
    except BrokenReport:
        yield CallOutcome(index, lost(sandbox, Status.KILLED, started_s))
    finally:
        await answers.aclose()
        await ended(sending)


async def run_on(backend: Backend, execution: Execution, heard: Heard | None = None) -> Outcome:
    """Run it in a sandbox of its own. Raises BackendUnavailable when none can be had, so that nothing ran."""
    sandbox = await backend.take(execution.limits)
    try:
        return await run(sandbox, execution, heard)
    finally:
        backend.retire(sandbox)


async def prove(backend: Backend) -> None:
    """Run the probe; BackendUnavailable unless the right answer comes back."""
    outcome = await run_on(backend, PROBE)
    if outcome.status is not Status.OK or outcome.value != ["ready", 1]:
        raise BackendUnavailable(f"a trial run ended as {outcome.status.name}: {outcome.error or outcome.stderr}")


async def send_all(sandbox: Sandbox, calls: Calls, start: int) -> None:
    for data in wire.encode_calls(calls, start, sandbox.confinement):
        await sandbox.send(data)


async def frames(
    sandbox: Sandbox, limits: Limits, more_bytes: int = 0, patience_s: float | None = None
) -> AsyncGenerator[tuple[Kind, bytes], None]:
    """What the supervisor sends, until it is gone.

    Raises BrokenReport, and TimeoutError when nothing comes for that long: seen where it is waited for, not for each
    frame, of which thousands come a second.
    """
    reader = wire.FrameReader(limits, more_bytes)
    while True:
        async with asyncio.timeout(patience_s):
            chunk = await sandbox.receive()
        if not chunk:
            return
        for frame in reader.feed(chunk):
            yield frame


async def outcome_of(sandbox: Sandbox, report: wire.Report, limits: Limits, *, expects_value: bool) -> Outcome:
    return await by_size(
        len(report.message),
        wire.outcome_of,
        report,
        sandbox.level,
        output_bytes=limits.output_bytes,
        expects_value=expects_value,
        peak_bytes=sandbox.peak_memory_bytes(),
        oom_kills=sandbox.oom_kills(),
    )


async def call_outcome_of(
    sandbox: Sandbox, call: wire.CallReport, limits: Limits, index: int, last: bool
) -> CallOutcome:
    if last or call.report.ending is not wire.Ending.ANSWERED:
        outcome = await outcome_of(sandbox, call.report, limits, expects_value=True)
    else:
        # What the host sees is the whole interpreter's: it is looked at once, not thousands of times a second.
        outcome = await by_size(
            len(call.report.message),
            wire.outcome_of,
            call.report,
            sandbox.level,
            output_bytes=limits.output_bytes,
            expects_value=True,
            peak_bytes=0,
            oom_kills=0,
        )
    return CallOutcome(index, outcome, call.call_s, call.varied)


def lost(sandbox: Sandbox, status: Status, started_s: float) -> Outcome:
    """The outcome of an execution whose supervisor was taken away with it."""
    return Outcome(
        status,
        sandbox.level,
        exit_code=LOST_EXIT_CODE,
        duration_s=time.monotonic() - started_s,
        peak_memory_bytes=sandbox.peak_memory_bytes(),
    )
