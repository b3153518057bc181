"""The program that screens many programs in one process. It runs inside the sandbox, behind the trial harness's text.

A fork a program costs more than most programs do. Here one fork runs program after program, each in a namespace of its
own, until one does not end or takes the process down: the next fork goes on behind it. Programs that share a process
can disturb each other, so what is found here is believed only after a run in a sandbox of its own (see cascade.py).
"""

from __future__ import annotations

import gc
import json
import os
import select
import time
import warnings
from typing import TYPE_CHECKING

from autodev_learning.calls_harness import TIMEOUT, outcomes
from autodev_learning.trial_harness import EXITED, FORGED, MAX_OUTCOME_BYTES, compiled, confine, kill_group

if TYPE_CHECKING:
    from collections.abc import Iterator

    from autodev_learning.calls_harness import Compiled, Outcome


def screen_programs(
    programs: list[str], preamble: str, calls: list[str], seconds_per_program: float
) -> list[list[Outcome]]:
    """Run every call on every program, as try_programs does, in as few processes as the programs let it."""
    warnings.simplefilter("ignore")
    setting = compiled(preamble, "<preamble>", "exec")
    questions = [compiled(call, "<call>", "eval") for call in calls]
    gc.freeze()
    rows: list[list[Outcome]] = []
    while len(rows) < len(programs):
        rows += screened(programs[len(rows) :], setting, questions, seconds_per_program)
    return rows


def screened(programs: list[str], setting: Compiled, calls: list[Compiled], seconds: float) -> list[list[Outcome]]:
    """The rows of the first of the programs, one at least: up to the one that ended the process."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            confine(writing)
            for program in programs:
                row = list(outcomes([setting, compiled(program, "<program>", "exec")], calls, seconds / 4))
                write_all(writing, json.dumps(row).encode() + b"\n")
        finally:
            # Whatever was raised, the fork must not return into the parent's code.
            os._exit(0)
    os.close(writing)
    rows = [row_from(line, len(calls)) for line in lines(reading, len(programs), len(calls), seconds + 0.1)]
    ended = len(rows) < len(programs) and at_end(reading)
    os.close(reading)
    kill_group(child)
    if len(rows) < len(programs):
        rows.append([dict(EXITED if ended else TIMEOUT)] * len(calls))
    return rows


def write_all(writing: int, data: bytes) -> None:
    while data:
        data = data[os.write(writing, data) :]


def lines(reading: int, most: int, calls: int, seconds: float) -> Iterator[bytes]:
    """Lines as they come, each within the time; no more than asked for, and none that is too long."""
    text, given = b"", 0
    deadline = time.monotonic() + seconds
    while given < most and len(text) <= calls * MAX_OUTCOME_BYTES + 100:
        line, newline, rest = text.partition(b"\n")
        if newline:
            text, given, deadline = rest, given + 1, time.monotonic() + seconds
            yield line
            continue
        remaining = deadline - time.monotonic()
        if remaining <= 0 or not select.select([reading], [], [], remaining)[0]:
            return
        more = os.read(reading, 65536)
        if not more:
            return
        text += more


def at_end(reading: int) -> bool:
    """Whether the process is gone, and not only slow."""
    return bool(select.select([reading], [], [], 0)[0]) and not os.read(reading, 1)


def row_from(line: bytes, calls: int) -> list[Outcome]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        row = None
    if isinstance(row, list) and len(row) == calls and all(is_outcome(cell) for cell in row):
        return row
    return [dict(FORGED)] * calls


def is_outcome(cell: object) -> bool:
    return (
        isinstance(cell, dict)
        and len(cell) == 1
        and all(key in ("value", "error") and isinstance(text, str) for key, text in cell.items())
    )
