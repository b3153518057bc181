"""The program that times a program. It runs inside the sandbox, behind the trial harness's text (see timing.py).

One program an execution, so that two programs that are compared never share a process. Each call runs in a fork of its
own, several times while it is short, and the shortest time counts: noise only ever adds. It is told what to call, never
what is expected.
"""

from __future__ import annotations

import hashlib
import json
import os
import select
import time
import types
import warnings
from typing import TYPE_CHECKING

from autodev_learning.calls_harness import TIMEOUTS_BEFORE_GIVING_UP, loaded
from autodev_learning.literals_harness import describe, literal
from autodev_learning.trial_harness import compiled, confine, kill_group

if TYPE_CHECKING:
    from autodev_learning.calls_harness import Compiled

REPEAT_S = 0.02
MAX_REPEATS = 30
# Above the longest literal that an example may expect.
MAX_LITERAL_CHARACTERS = 20_000
MAX_LINE_BYTES = 8 * MAX_LITERAL_CHARACTERS

Timed = dict[str, object]


def time_calls(
    program: str, preamble: str, calls: list[str], seconds_per_call: list[float], seconds_in_all: float
) -> list[Timed]:
    """Run the calls on the program: per call {"value": literal, "seconds": s}, or {"error": text, "seconds": s}.

    It stops before a call for which the time might not suffice, and when so many calls did not end that others need not
    be tried: then fewer come back, one at least.
    """
    warnings.simplefilter("ignore")
    setting, body = compiled(preamble, "<preamble>", "exec"), compiled(program, "<program>", "exec")
    ends = time.monotonic() + seconds_in_all
    given: list[Timed] = []
    timeouts = 0
    for call, seconds in zip(calls, seconds_per_call, strict=True):
        if given and (timeouts == TIMEOUTS_BEFORE_GIVING_UP or time.monotonic() + seconds > ends):
            break
        given.append(time_call([setting, body, compiled(call, "<call>", "eval")], seconds))
        timeouts += given[-1].get("error") == "timeout"
    return given


def time_call(parts: list[Compiled], seconds: float) -> Timed:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            confine(writing)
            answer = json.dumps(repeated(parts, seconds)).encode()
            while answer:
                answer = answer[os.write(writing, answer) :]
        finally:
            # Whatever was raised, the fork must not return into the parent's code.
            os._exit(0)
    os.close(writing)
    line = read_line(reading, time.monotonic() + seconds)
    os.close(reading)
    kill_group(child)
    if line is None:
        return {"error": "timeout", "seconds": seconds}
    return parse_timed(line)


def read_line(reading: int, deadline: float) -> bytes | None:
    """What the child wrote until it ended; None if it did not end in time."""
    line = b""
    while len(line) <= MAX_LINE_BYTES:
        remaining = deadline - time.monotonic()
        if remaining <= 0 or not select.select([reading], [], [], remaining)[0]:
            return None
        part = os.read(reading, 65536)
        if not part:
            break
        line += part
    return line


def parse_timed(line: bytes) -> Timed:
    try:
        timed = json.loads(line)
    except (ValueError, RecursionError):
        timed = None
    if isinstance(timed, dict) and set(timed) in ({"value", "seconds"}, {"error", "seconds"}):
        return timed
    return {"error": "Exited: the program ended its process", "seconds": 0.0}


def repeated(parts: list[Compiled], seconds: float) -> Timed:
    ends = time.perf_counter() + min(REPEAT_S, seconds / 4)
    answer, shortest = once(parts)
    for _ in range(MAX_REPEATS - 1):
        if time.perf_counter() >= ends:
            break
        _, taken = once(parts)
        shortest = min(shortest, taken)
    return {**answer, "seconds": shortest}


def once(parts: list[Compiled]) -> tuple[Timed, float]:
    """Run the call in a new module. The program's own start is timed too: work moved there is not work saved."""
    setting, body, call = parts
    module = types.ModuleType("program")
    started = time.perf_counter()
    try:
        exec(loaded(setting), module.__dict__)
        started = time.perf_counter()
        exec(loaded(body), module.__dict__)
        value = eval(loaded(call), module.__dict__)
        taken = time.perf_counter() - started
        return {"value": comparable(literal(value))}, taken
    except BaseException as error:
        return {"error": describe(error)}, time.perf_counter() - started


def comparable(text: str) -> str:
    """A literal, or for a very long one its digest, which is no literal and equal only to itself."""
    if len(text) <= MAX_LITERAL_CHARACTERS:
        return text
    return f"<sha256 {hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()}, {len(text)} characters>"
