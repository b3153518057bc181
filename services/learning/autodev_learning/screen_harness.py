"""The program that screens programs: many a fork, quick and rough. It runs in the sandbox, behind the trial harness.

A program comes as places in a list of pieces, so that what two programs share is compiled once. Loops and functions
count their turns, so that one without end is told after so many, on any machine, and costs no more than those. A
program that ends its process loses nobody else's outcomes: the next fork goes on behind it. One that tampers with its
process can spoil the outcomes of those after it: whatever is to be believed is tried again by the trial harness.
"""

from __future__ import annotations

import ast
import gc
import json
import mmap
import os
import signal
import sys
import types
import warnings
from typing import TYPE_CHECKING, Any

from autodev_learning.calls_harness import TIMEOUTS_BEFORE_GIVING_UP, CallTimeout, bounded, interrupt, loaded
from autodev_learning.literals_harness import describe, literal
from autodev_learning.trial_harness import NUMBER_BYTES, compiled, confine, end_of, kill_group, tell_end, waited_for_end

if TYPE_CHECKING:
    from collections.abc import Callable

    from autodev_learning.calls_harness import Compiled

    Row = list[Any]

TICK = "__turn__"
BOARD_BYTES = 32 * 1024 * 1024
TIMEOUT_TEXT = "etimeout"
DEAF_TIMES = 4
"""So many times its processor time a call may take that cannot be interrupted, before its process is ended."""


class Turns:
    """Counts turns of loops and calls of functions; past the limit, it raises at each."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.left = limit

    def __call__(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise CallTimeout


class Counting(ast.NodeTransformer):
    """Puts a turn at the start of each loop's and function's body."""

    def counted(self, node: Any) -> Any:
        self.generic_visit(node)
        turn = ast.Expr(ast.Call(ast.Name(TICK, ast.Load()), [], []))
        for inner in ast.walk(turn):
            ast.copy_location(inner, node.body[0])
        node.body.insert(0, turn)
        return node

    visit_While = visit_For = visit_FunctionDef = counted


def screen(
    pieces: list[str],
    programs: list[list[int]],
    preamble: str,
    calls: list[str],
    turns: int,
    seconds: float,
    traced: bool,
) -> list[Row]:
    """Run every call on every program: per program its outcomes, "v" + literal or "e" + error.

    With `traced`, each outcome is [text, lines]: the lines that ran, as numbers of the pieces joined.
    """
    warnings.simplefilter("ignore")
    setting = compiled(preamble, "<preamble>", "exec")
    questions = [compiled(call, "<call>", "eval") for call in calls]
    sources = [counted_code(piece, number) for number, piece in enumerate(pieces)]
    gc.freeze()
    rows: list[Row] = []
    while len(rows) < len(programs):
        waiting = programs[len(rows) :]
        found, ended = forked_rows(sources, waiting, setting, questions, turns, seconds, traced)
        rows += found
        if len(found) < len(waiting):
            lost = "eExited: the program ended its process" if ended else TIMEOUT_TEXT
            rows.append([[lost, []] if traced else lost] * len(calls))
    return rows


def counted_code(piece: str, number: int) -> Compiled:
    try:
        tree = Counting().visit(ast.parse(piece))
        code: types.CodeType = compile(tree, f"<piece {number}>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return error
    return code


def forked_rows(
    sources: list[Compiled],
    programs: list[list[int]],
    setting: Compiled,
    questions: list[Compiled],
    turns: int,
    seconds: float,
    traced: bool,
) -> tuple[list[Row], bool]:
    """The rows that one fork came to, and whether it ended by itself."""
    with mmap.mmap(-1, BOARD_BYTES) as board:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                confine(writing)
                write_rows(board, sources, programs, setting, questions, Turns(turns), seconds, traced)
            finally:
                os._exit(0)
        os.close(writing)
        ended = waited_for_end(reading, 2.0 + len(programs) * 2 * seconds)
        os.close(reading)
        status = kill_group(child)
        stalled = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGVTALRM
        end = end_of(board)
        lines = board[NUMBER_BYTES:end].split(b"\n")[:-1]
    rows = [row for row in map(parsed_row, lines[: len(programs)]) if len(row) == len(questions)]
    return rows, ended and not stalled


def parsed_row(line: bytes) -> Row:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return []
    return row if isinstance(row, list) else []


def write_rows(
    board: mmap.mmap,
    sources: list[Compiled],
    programs: list[list[int]],
    setting: Compiled,
    questions: list[Compiled],
    counter: Turns,
    seconds: float,
    traced: bool,
) -> None:
    end = NUMBER_BYTES
    signal.signal(signal.SIGPROF, interrupt)
    for program in programs:
        parts = [sources[place] for place in program]
        row = row_of([setting, *parts], questions, counter, seconds, traced)
        line = json.dumps(row).encode() + b"\n"
        if end + len(line) > BOARD_BYTES:
            os._exit(0)
        board[end : end + len(line)] = line
        end += len(line)
        tell_end(board, end)


def row_of(parts: list[Compiled], questions: list[Compiled], counter: Turns, seconds: float, traced: bool) -> Row:
    row: Row = []
    module: types.ModuleType | None = None
    by_clock = 0
    for question in questions:
        text = TIMEOUT_TEXT
        lines: list[list[int]] = []
        # What is ended by its turns costs little; and a trace, of few programs, is wanted whole.
        if traced or by_clock < TIMEOUTS_BEFORE_GIVING_UP:
            counter.left = counter.limit
            try:
                # It fires again and again: a bare `except:` in a loop may swallow the first.
                signal.setitimer(signal.ITIMER_PROF, seconds, seconds / 4)
                # Python hears no signal while one of its own functions works: the kernel ends what goes on and on.
                signal.setitimer(signal.ITIMER_VIRTUAL, DEAF_TIMES * seconds)
                try:
                    if module is None:
                        module = built(parts, counter)
                    text, lines = asked(module, question, traced)
                finally:
                    signal.setitimer(signal.ITIMER_PROF, 0)
                    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            except CallTimeout:
                pass
            except BaseException as error:
                text = "e" + describe(error)
            by_clock += text == TIMEOUT_TEXT and counter.left >= 0
        row.append([text, lines] if traced else text)
    return row


def built(parts: list[Compiled], counter: Turns) -> types.ModuleType:
    module = types.ModuleType("program")
    sys.modules["program"] = module
    module.__dict__[TICK] = counter
    for part in parts:
        exec(loaded(part), module.__dict__)
    return module


def asked(module: types.ModuleType, question: Compiled, traced: bool) -> tuple[str, list[list[int]]]:
    """The outcome of one call, and the lines that ran as [piece, line]."""
    ran: set[tuple[int, int]] = set()
    if traced:
        sys.settrace(tracer(ran))
    try:
        text = "v" + bounded(literal(eval(loaded(question), module.__dict__)))
    except CallTimeout:
        text = TIMEOUT_TEXT
    except BaseException as error:
        text = "e" + describe(error)
    finally:
        sys.settrace(None)
    return text, [list(place) for place in sorted(ran)]


def tracer(ran: set[tuple[int, int]]) -> Callable[..., Any]:
    """Notes the lines of pieces; other code runs untraced."""

    def lines(frame: types.FrameType, event: str, argument: object) -> Callable[..., Any] | None:
        if event == "line":
            ran.add((int(frame.f_code.co_filename[7:-1]), frame.f_lineno))
        return lines

    def calls(frame: types.FrameType, event: str, argument: object) -> Callable[..., Any] | None:
        return lines if frame.f_code.co_filename.startswith("<piece ") else None

    return calls
