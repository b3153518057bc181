"""Look for a divisor up to the square root: above it there is none that has not a partner below."""

from collections.abc import Iterator

import libcst as cst

from autodev_learning.proposers.tree import Edit, Program, body_of, expression, source

NAME = "look for divisors up to the square root"
GAIN = 80.0


def edits(program: Program) -> Iterator[Edit]:
    for site, loop in program.find(cst.For):
        number = _number(loop)
        if number is not None and not loop.orelse:
            shorter = loop.with_changes(iter=expression(f"range(2, min({number}, int({number} ** 0.5) + 2))"))
            yield Edit(f"{site.where}: try divisors of `{number}` up to its square root", site, shorter)


def _number(loop: cst.For) -> str | None:
    """The number, where the loop only asks whether anything from 2 to below it divides it."""
    body = body_of(loop.body)
    divisor = source(loop.target)
    if len(body) != 1 or not isinstance(body[0], cst.If) or body[0].orelse or not isinstance(loop.iter, cst.Call):
        return None
    arguments = [source(argument.value) for argument in loop.iter.args]
    if (
        source(loop.iter.func) != "range"
        or len(arguments) != 2
        or arguments[0] != "2"
        or not arguments[1].isidentifier()
    ):
        return None
    asks = source(body[0].test) in (f"{arguments[1]} % {divisor} == 0", f"not {arguments[1]} % {divisor}")
    return arguments[1] if asks and _answers_alike(body[0].body, divisor) else None


def _answers_alike(block: cst.BaseSuite, divisor: str) -> bool:
    """Whether any divisor has the same consequence: one answer, or a flag and a `break`."""
    last = source(block).splitlines()[-1].strip()
    return divisor not in source(block).split() and (last.startswith("return") or last == "break")
