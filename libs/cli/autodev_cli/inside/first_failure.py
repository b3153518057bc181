"""Finds where programs fail their task's examples, and what a runtime would print there."""

import ast
import contextlib
import json
import linecache
import math
import os
import select
import signal
import time
import traceback
from typing import Any, NoReturn

MOST_FRAMES = 6
MOST_CHARACTERS = 2000


def first_failure(
    code: str, preamble: str, examples: list[dict[str, str]], seconds_per_example: float
) -> dict[str, Any] | None:
    """Run `code`, then each example, until one fails.

    Returns which (`index`, -1 for the program itself) and its `trace`; None when the program passes them all.
    """
    namespace: dict[str, Any] = {"__name__": "program"}
    for file, text in (("task.py", preamble), ("program.py", code)):
        linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
        trace = _trace_of(
            seconds_per_example, lambda file=file, text=text: exec(compile(text, file, "exec"), namespace)
        )
        if trace:
            return {"index": -1, "trace": trace}
    for index, example in enumerate(examples):
        trace = _trace_of(seconds_per_example, lambda example=example: _assert_equal(example, namespace))
        if trace:
            return {"index": index, "trace": trace}
    return None


def _assert_equal(example: dict[str, str], namespace: dict[str, Any]) -> None:
    actual = eval(compile(example["call"], "example.py", "eval"), namespace)
    expected = ast.literal_eval(example["expect"])
    close = isinstance(actual, float) and isinstance(expected, int | float) and math.isclose(actual, expected)
    if not close and actual != expected:
        raise AssertionError(f"{example['call']} gave {actual!r:.200}, expected {expected!r:.200}")


def _trace_of(seconds: float, run: Any) -> str:
    def give_up(*_: object) -> None:
        raise TimeoutError(f"no answer within {seconds:g} s")

    signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        run()
    except BaseException as error:
        return _printed(error)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return ""


def _printed(error: BaseException) -> str:
    """As Python prints it, with the program's own frames only, and without the carets, which differ by version."""
    last = "".join(traceback.format_exception_only(error)).strip().splitlines()[-1][:MOST_CHARACTERS]
    if isinstance(error, SyntaxError):
        return f'  File "{error.filename}", line {error.lineno}\n{last}'
    frames = [
        (frame.filename, frame.lineno or 0, frame.name, frame.line)
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename in ("program.py", "task.py")
    ]
    shown = "".join(traceback.StackSummary.from_list(frames[-MOST_FRAMES:]).format())
    return f"Traceback (most recent call last):\n{shown}{last}" if shown else last


def first_failures(
    codes: list[str],
    preamble: str,
    examples: list[dict[str, str]],
    seconds_per_example: float,
    seconds_per_program: float,
) -> list[dict[str, Any] | None]:
    """`first_failure` of several programs, each in a process of its own, so that none disturbs the next."""
    return [
        _apart(lambda code=code: first_failure(code, preamble, examples, seconds_per_example), seconds_per_program)
        for code in codes
    ]


def _apart(find: Any, seconds: float) -> dict[str, Any] | None:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _answer(find, writing)
    os.close(writing)
    answer = _read(reading, seconds)
    os.close(reading)
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if answer is None:
        return {"index": -1, "trace": f"TimeoutError: no answer within {seconds:g} s"}
    if not answer:
        how = f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"status {os.WEXITSTATUS(status)}"
        return {"index": -1, "trace": f"RuntimeError: the program's process ended with {how}"}
    found: dict[str, Any] | None = json.loads(answer)
    return found


def _answer(find: Any, writing: int) -> NoReturn:
    # What a program prints is of no use here, and there may be megabytes of it.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    try:
        answer = json.dumps(find()).encode()
        while answer:
            answer = answer[os.write(writing, answer) :]
    finally:
        os._exit(0)


def _read(reading: int, seconds: float) -> bytes | None:
    """All that comes before the end; None where no end comes in time."""
    ends = time.monotonic() + seconds
    parts: list[bytes] = []
    while True:
        readable, _, _ = select.select([reading], [], [], max(0.0, ends - time.monotonic()))
        if not readable:
            return None
        part = os.read(reading, 65536)
        if not part:
            return b"".join(parts)
        parts.append(part)
