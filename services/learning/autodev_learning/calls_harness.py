"""Calling what a program defines, inside the sandbox: the text that the harnesses begin with.

It is short and imports nothing that takes time, since the harness that runs one program alone is in front of every
program: `_signal` is what `signal` is made of, and what says how a call ended (literals_harness.py) comes after it.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import CodeType

    from autodev_learning.literals_harness import describe, literal

    Outcome = dict[str, str]
    Compiled = CodeType | str | Exception

MAX_REPR_CHARACTERS = 8_000
TIMEOUTS_BEFORE_GIVING_UP = 2
# A call may compute for this part of the program's time. It is processor time, so that a busy machine harms no program;
# the program's whole time is by the clock.
CALL_SHARE = 4
TIMEOUT = {"error": "timeout"}


class CallTimeout(BaseException):
    """A call took too long. Not an Exception, so that `except Exception` in a program does not swallow it."""


def outcomes(program: Sequence[Compiled], calls: Sequence[Compiled], seconds_per_call: float) -> Iterator[Outcome]:
    """Run the calls, each in a namespace of its own, so that no call sees what another left behind."""
    timeouts = 0
    for call in calls:
        if timeouts < TIMEOUTS_BEFORE_GIVING_UP:
            outcome = outcome_of(program, call, seconds_per_call)
        timeouts += outcome is TIMEOUT
        yield outcome


def outcome_of(program: Sequence[Compiled], call: Compiled, seconds: float) -> Outcome:
    try:
        _signal.signal(_signal.SIGPROF, interrupt)
        # It fires again and again: a bare `except:` in a loop may swallow the first.
        _signal.setitimer(_signal.ITIMER_PROF, seconds, seconds / 4)
        try:
            return {"value": bounded(literal(evaluate(program, call)))}
        finally:
            _signal.setitimer(_signal.ITIMER_PROF, 0)
    except CallTimeout:
        return TIMEOUT
    except BaseException as error:
        return {"error": describe(error)}


def interrupt(signum: int, frame: object) -> None:
    raise CallTimeout


def evaluate(program: Sequence[Compiled], call: Compiled) -> object:
    module = type(sys)("program")
    sys.modules["program"] = module
    for part in program:
        exec(loaded(part), module.__dict__)
    return eval(loaded(call), module.__dict__)


def loaded(part: Compiled) -> CodeType | str:
    if isinstance(part, Exception):
        raise part
    return part


def bounded(text: str) -> str:
    if len(text) > MAX_REPR_CHARACTERS:
        raise OverflowError(f"the value's repr has {len(text)} characters")
    return text
