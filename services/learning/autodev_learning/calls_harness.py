"""Calling what a program defines, inside the sandbox: the text that the harnesses begin with.

It imports nothing that takes time, since the harness that runs one program alone is in front of every program:
`_signal` is what `signal` is made of.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType
else:
    CodeType = type(compile("0", "", "eval"))

MAX_REPR_CHARACTERS = 8_000
MAX_ERROR_CHARACTERS = 300
MAX_NESTING = 50
TIMEOUTS_BEFORE_GIVING_UP = 2
# A call may compute for this part of the program's time. It is processor time, so that a busy machine harms no program;
# the program's whole time is by the clock.
CALL_SHARE = 4
TIMEOUT = {"error": "timeout"}

Outcome = dict[str, str]
Compiled = CodeType | Exception


class CallTimeout(BaseException):
    """A call took too long. Not an Exception, so that `except Exception` in a program does not swallow it."""


def compiled(source: str, name: str, mode: str) -> Compiled:
    """Compile, or give the error that running the source would raise."""
    try:
        code: CodeType = compile(source, name, mode, dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return error
    return code


def outcomes(program: list[Compiled], calls: list[Compiled], seconds_per_call: float) -> Iterator[Outcome]:
    """Run the calls, each in a namespace of its own, so that no call sees what another left behind."""
    timeouts = 0
    for call in calls:
        if timeouts < TIMEOUTS_BEFORE_GIVING_UP:
            outcome = outcome_of(program, call, seconds_per_call)
        timeouts += outcome is TIMEOUT
        yield outcome


def outcome_of(program: list[Compiled], call: Compiled, seconds: float) -> Outcome:
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


def evaluate(program: list[Compiled], call: Compiled) -> object:
    module = type(sys)("program")
    sys.modules["program"] = module
    for part in program:
        exec(loaded(part), module.__dict__)
    return eval(loaded(call), module.__dict__)


def loaded(part: Compiled) -> CodeType:
    if isinstance(part, Exception):
        raise part
    return part


def literal(value: object) -> str:
    try:
        return repr(plain(value, MAX_NESTING))
    except (TypeError, ValueError):
        return repr(value)


def plain(value: object, levels: int) -> object:
    """Strip subclasses (OrderedDict, namedtuple, IntEnum ...), whose repr is no literal, down to what they equal."""
    if levels == 0:
        raise ValueError("nested too deep")
    if value is None or isinstance(value, bool | bytes | complex):
        return value
    if isinstance(value, int):
        return int.__pos__(value)
    if isinstance(value, float):
        return float.__pos__(value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, dict):
        return {plain(key, levels - 1): plain(item, levels - 1) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item, levels - 1) for item in value]
    if isinstance(value, tuple):
        return tuple(plain(item, levels - 1) for item in value)
    if isinstance(value, set | frozenset):
        return {plain(item, levels - 1) for item in value}
    return value


def bounded(text: str) -> str:
    if len(text) > MAX_REPR_CHARACTERS:
        raise OverflowError(f"the value's repr has {len(text)} characters")
    return text


def describe(error: BaseException) -> str:
    try:
        message = str(error)[:MAX_ERROR_CHARACTERS]
    except BaseException:
        message = "(its message cannot be made)"
    return f"{type(error).__name__}: {message}"
