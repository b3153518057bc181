"""The program that tries programs. It runs inside the sandbox, behind the text of calls_harness.py.

Each program runs in a fork of its own, so an endless loop, a crash or `os._exit` harms that program only. The harness
is told what to call, never what is expected: no program can read the answer from it.

It is in front of every trial, and imports nothing that takes time: `os`, `signal` and `json` took half of one.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import gc
import mmap
import posix
import resource
import select
import time
import warnings
from typing import TYPE_CHECKING

from autodev_learning.calls_harness import CALL_SHARE, MAX_REPR_CHARACTERS, TIMEOUT, outcomes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from autodev_learning.calls_harness import Compiled, Outcome

# A \\u escape is six characters of JSON for one of the repr.
MAX_OUTCOME_BYTES = 6 * MAX_REPR_CHARACTERS + 100
NUMBER_BYTES = 4
KINDS = {b"v": "value", b"e": "error"}
EXITED = {"error": "Exited: the program ended its process"}
FORGED = {"error": "Forged: the program wrote over its outcomes"}
# Of a program and what it forked from: below what a sandbox has, so that a program meets this limit and not that one.
MEMORY_BYTES = 160 * 1024 * 1024

MAX_DESCRIPTORS = 256


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
    with mmap.mmap(-1, NUMBER_BYTES + len(calls) * MAX_OUTCOME_BYTES) as board:
        reading, writing = posix.pipe()
        child = posix.fork()
        if child == 0:
            try:
                confine(writing)
                write_outcomes(board, outcomes(program, calls, seconds / CALL_SHARE))
            finally:
                # Whatever was raised, the fork must not return into the parent's code.
                posix._exit(0)
        posix.close(writing)
        ended = waited_for_end(reading, seconds + 0.1)
        posix.close(reading)
        kill_group(child)
        return complete(read_outcomes(board), len(calls), ended)


def confine(writing: int) -> None:
    posix.setsid()
    null = posix.open("/dev/null", posix.O_RDWR)
    for standard in (0, 1, 2):
        posix.dup2(null, standard)
    # The sandbox's own result channel is inherited by the fork: out of the program's reach with it.
    posix.closerange(3, writing)
    posix.closerange(writing + 1, MAX_DESCRIPTORS)
    lower_limit(resource.RLIMIT_DATA, MEMORY_BYTES)
    lower_limit(resource.RLIMIT_CORE, 0)


def lower_limit(limit: int, value: int) -> None:
    _, hard = resource.getrlimit(limit)
    allowed = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(limit, (allowed, allowed))


def write_outcomes(board: mmap.mmap, given: Iterator[Outcome]) -> None:
    end = NUMBER_BYTES
    for outcome in given:
        ((kind, text),) = outcome.items()
        data = text.encode("utf-8", "backslashreplace")
        piece = kind[:1].encode() + len(data).to_bytes(NUMBER_BYTES, "little") + data
        board[end : end + len(piece)] = piece
        end += len(piece)
        tell_end(board, end)


def tell_end(board: mmap.mmap, end: int) -> None:
    """Say how far a board is written."""
    board[:NUMBER_BYTES] = end.to_bytes(NUMBER_BYTES, "little")


def end_of(board: mmap.mmap) -> int:
    """How far a board is written, it says."""
    return int.from_bytes(board[:NUMBER_BYTES], "little")


def read_outcomes(board: mmap.mmap) -> list[Outcome]:
    """The outcomes, up to the first that no harness wrote."""
    found: list[Outcome] = []
    at, end = NUMBER_BYTES, end_of(board)
    while at < end:
        start = at + 1 + NUMBER_BYTES
        stop = start + int.from_bytes(board[at + 1 : start], "little")
        try:
            if stop > min(end, len(board)):
                raise ValueError(stop)
            found.append({KINDS[board[at : at + 1]]: board[start:stop].decode()})
        except (KeyError, ValueError):
            return [*found, FORGED]
        at = stop
    return found


def waited_for_end(reading: int, seconds: float) -> bool:
    """Wait until the pipe ends: the child is gone, and whatever it started. What a program writes to it is dropped."""
    deadline = time.monotonic() + seconds
    while (remaining := deadline - time.monotonic()) > 0:
        if select.select([reading], [], [], remaining)[0] and not posix.read(reading, 65536):
            return True
    return False


def kill_group(child: int) -> int:
    """Kill a child and what it started. Gives how it ended, as `waitpid` does: by itself, maybe, before this."""
    for kill in (posix.killpg, posix.kill):
        try:
            kill(child, _signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue
    return posix.waitpid(child, 0)[1]


def complete(found: list[Outcome], expected: int, ended: bool) -> list[Outcome]:
    missing = EXITED if ended else TIMEOUT
    return found[:expected] + [missing] * (expected - len(found))
