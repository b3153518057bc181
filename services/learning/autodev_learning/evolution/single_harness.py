"""The program that runs one program, alone in its sandbox, behind the text of calls_harness.py.

The sandbox is what keeps the program in, so it has no process of its own: a fork, and what is imported to watch one,
take longer than most programs do. Whatever the program does to this text harms its own outcomes only.

To compile takes longer still. So what few programs need, literals_harness.py, is there as the text `SELDOM`.
"""

from __future__ import annotations

import posix
from typing import TYPE_CHECKING

from autodev_learning.calls_harness import CALL_SHARE, outcomes

if TYPE_CHECKING:
    from autodev_learning.calls_harness import Outcome

SELDOM = ""


def run_alone(programs: list[str], preamble: str, calls: list[str], seconds_per_program: float) -> list[list[Outcome]]:
    """Run every call on the one program there is, as try_programs does."""
    # What a program prints is nobody's concern, and would count.
    null = posix.open("/dev/null", posix.O_RDWR)
    for standard in (1, 2):
        posix.dup2(null, standard)
    (program,) = programs
    return [list(outcomes([preamble, program], calls, seconds_per_program / CALL_SHARE))]


def literal(value: object) -> str:
    kind = type(value)
    if value is None or kind is int or kind is float or kind is str or kind is bool:
        return repr(value)
    exec(SELDOM, globals())
    return literal(value)


def describe(error: BaseException) -> str:
    exec(SELDOM, globals())
    return describe(error)
