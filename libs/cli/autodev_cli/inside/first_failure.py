"""Finds where a program fails its task's examples, and what a runtime would print there."""

import ast
import linecache
import math
import signal
import traceback
from typing import Any

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
