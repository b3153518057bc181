"""Divisors up to the square root."""

import ast
from collections.abc import Iterator

from autodev_learning.proposers.analysis.code import Code
from autodev_learning.proposers.analysis.effects import is_plain
from autodev_learning.proposers.analysis.loops import is_used_after
from autodev_learning.proposers.speedups import Edit, Speedup
from autodev_learning.proposers.speedups.membership import is_name


class Divisors(Speedup):
    """Look for a divisor up to the square root: above it there is none that has not a partner below.

        +import math
        +
        +
         def f(n):
        -    for d in range(2, n):
        +    for d in range(2, min(n, math.isqrt(max(n, 0)) + 1)):
                 if n % d == 0:
                     return False
             return n > 1

    >>> [f(n) for n in range(-3, 60)], f(True), f(7.0), f("a"), f(None)
    """

    name = "look for divisors up to the square root"
    gain = 80.0

    def edits(self, code: Code) -> Iterator[Edit]:
        for loop in code.all(ast.For):
            number = _number(code, loop)
            if number is None:
                continue
            assert isinstance(loop.iter, ast.Call)
            stop = loop.iter.args[1]
            function = code.function_around(loop)
            yield Edit(
                f"{function.name if function else 'module'}: try divisors of `{number}` up to its square root",
                [code.replace(stop, f"min({number}, math.isqrt(max({number}, 0)) + 1)")],
                ["math"],
            )


def _number(code: Code, loop: ast.For) -> str | None:
    """The number, where the loop only asks whether anything from 2 to below it divides it, and answers once."""
    match loop:
        case ast.For(
            target=ast.Name(id=divisor),
            iter=ast.Call(func=ast.Name(id="range"), args=[ast.Constant(value=2), ast.Name(id=number)], keywords=[]),
            body=[ast.If(test=test, body=body, orelse=[])],
            orelse=[],
        ) if all(map(code.is_builtin, ("range", "min", "max"))):
            function = code.function_around(loop)
            if function is None or not is_plain(function) or divisor == number:
                return None
            if is_used_after(code, function, loop, {divisor}):
                return None
            goes_on = any(isinstance(node, ast.Continue) for statement in body for node in ast.walk(statement))
            if not _asks(test, number, divisor) or not isinstance(body[-1], ast.Return | ast.Break) or goes_on:
                return None
            alike = not any(is_name(node, divisor) for statement in body for node in ast.walk(statement))
            return number if alike else None
    return None


def _asks(test: ast.expr, number: str, divisor: str) -> bool:
    match test:
        case ast.Compare(left=remainder, ops=[ast.Eq()], comparators=[ast.Constant(value=0)]):
            pass
        case ast.UnaryOp(op=ast.Not(), operand=remainder):
            pass
        case _:
            return False
    match remainder:
        case ast.BinOp(left=ast.Name(id=left), op=ast.Mod(), right=ast.Name(id=right)):
            return (left, right) == (number, divisor)
    return False
