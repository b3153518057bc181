"""The program that runs one program, alone in its sandbox, behind the text of calls_harness.py.

The sandbox is what keeps the program in, so it has no process of its own: a fork, and what is imported to watch one,
take longer than most programs do. Whatever the program does to this text harms its own outcomes only.
"""

import posix

from autodev_learning.calls_harness import CALL_SHARE, Outcome, compiled, outcomes


def run_alone(programs: list[str], preamble: str, calls: list[str], seconds_per_program: float) -> list[list[Outcome]]:
    """Run every call on the one program there is, as try_programs does."""
    # What a program prints is nobody's concern, and would count.
    null = posix.open("/dev/null", posix.O_RDWR)
    for standard in (1, 2):
        posix.dup2(null, standard)
    setting = compiled(preamble, "<preamble>", "exec")
    questions = [compiled(call, "<call>", "eval") for call in calls]
    (program,) = [compiled(each, "<program>", "exec") for each in programs]
    return [list(outcomes([setting, program], questions, seconds_per_program / CALL_SHARE))]
