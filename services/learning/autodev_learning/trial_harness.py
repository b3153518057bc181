"""The program that tries programs. It runs inside the sandbox, behind the text of calls_harness.py.

Each program runs in a fork of its own, so an endless loop, a crash or `os._exit` harms that program only. The harness
is told what to call, never what is expected: no program can read the answer from it.
"""

from __future__ import annotations

import gc
import json
import mmap
import os
import resource
import select
import signal
import struct
import time
import warnings
from typing import TYPE_CHECKING

from autodev_learning.calls_harness import CALL_SHARE, MAX_REPR_CHARACTERS, TIMEOUT, outcomes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from autodev_learning.calls_harness import Compiled, Outcome

# A \\u escape is six characters of JSON for one of the repr.
MAX_OUTCOME_BYTES = 6 * MAX_REPR_CHARACTERS + 100
# Of a program and what it forked from: below what a sandbox has, so that a program meets this limit and not that one.
MEMORY_BYTES = 160 * 1024 * 1024

MAX_DESCRIPTORS = 256
HEADER = struct.Struct("=I")


def try_programs(
    programs: list[str], preamble: str, calls: list[str], seconds_per_program: float
) -> list[list[Outcome]]:
    """Run every call on every program: a list per program, in it per call {"value": literal} or {"error": text}."""
    warnings.simplefilter("ignore")
    # Compiled before the fork: each page that a fork writes to is copied, and compiling writes to many.
    setting = compiled(preamble, "<preamble>", "exec")
    questions = [compiled(call, "<call>", "eval") for call in calls]
    gc.freeze()
    return [
        try_program([setting, compiled(program, "<program>", "exec")], questions, seconds_per_program)
        for program in programs
    ]


def compiled(source: str, name: str, mode: str) -> Compiled:
    """Compile, or give the error that running the source would raise."""
    try:
        return compile(source, name, mode, dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return error


def try_program(program: list[Compiled], calls: list[Compiled], seconds: float) -> list[Outcome]:
    # Outcomes come back through shared memory: what a program gave before it crashed is there, at no system call each.
    with mmap.mmap(-1, HEADER.size + len(calls) * MAX_OUTCOME_BYTES) as board:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                confine(writing)
                write_outcomes(board, outcomes(program, calls, seconds / CALL_SHARE))
            finally:
                # Whatever was raised, the fork must not return into the parent's code.
                os._exit(0)
        os.close(writing)
        ended = waited_for_end(reading, seconds + 0.1)
        os.close(reading)
        kill_group(child)
        return complete(read_lines(board), len(calls), ended)


def confine(writing: int) -> None:
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    # The sandbox's own result channel is inherited by the fork: out of the program's reach with it.
    os.closerange(3, writing)
    os.closerange(writing + 1, MAX_DESCRIPTORS)
    lower_limit(resource.RLIMIT_DATA, MEMORY_BYTES)
    lower_limit(resource.RLIMIT_CORE, 0)


def lower_limit(limit: int, value: int) -> None:
    _, hard = resource.getrlimit(limit)
    allowed = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(limit, (allowed, allowed))


def write_outcomes(board: mmap.mmap, given: Iterator[Outcome]) -> None:
    end = HEADER.size
    for outcome in given:
        line = json.dumps(outcome).encode() + b"\n"
        board[end : end + len(line)] = line
        end += len(line)
        HEADER.pack_into(board, 0, end)


def read_lines(board: mmap.mmap) -> list[bytes]:
    (end,) = HEADER.unpack_from(board, 0)
    return board[HEADER.size : end].split(b"\n")[:-1]


def waited_for_end(reading: int, seconds: float) -> bool:
    """Wait until the pipe ends: the child is gone, and whatever it started. What a program writes to it is dropped."""
    deadline = time.monotonic() + seconds
    while (remaining := deadline - time.monotonic()) > 0:
        if select.select([reading], [], [], remaining)[0] and not os.read(reading, 65536):
            return True
    return False


def kill_group(child: int) -> None:
    for kill in (os.killpg, os.kill):
        try:
            kill(child, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue
    os.waitpid(child, 0)


def complete(lines: list[bytes], expected: int, ended: bool) -> list[Outcome]:
    missing = {"error": "Exited: the program ended its process"} if ended else TIMEOUT
    return [parse(line) for line in lines[:expected]] + [missing] * (expected - len(lines))


def parse(line: bytes) -> Outcome:
    try:
        outcome = json.loads(line)
    except (ValueError, RecursionError):
        outcome = None
    if isinstance(outcome, dict) and len(outcome) == 1:
        ((key, text),) = outcome.items()
        if key in ("value", "error") and isinstance(text, str):
            return {key: text}
    return {"error": "Forged: the program wrote over its outcomes"}
