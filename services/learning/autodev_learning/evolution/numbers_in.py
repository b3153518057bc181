"""The numbers that a program's text holds, and the same text with others."""

import ast
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from autodev_learning.evolution.novelty import NotPython

TEXTS_KEPT = 1024
LARGEST = 1e15

Number = int | float


@dataclass(frozen=True, slots=True)
class Literal:
    """A number as it is written, with its sign: bytes `start` to `end` of the text."""

    start: int
    end: int
    value: Number
    signed: bool


@lru_cache(maxsize=TEXTS_KEPT)
def literals_of(code: str) -> tuple[Literal, ...]:
    """The numbers, in their order in the text. Raises NotPython."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise NotPython(f"no valid Python: {type(error).__name__}") from None
    starts = [0]
    for line in code.encode().splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    found: list[Literal] = []
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        # What stands within an f-string has no place of its own before Python 3.12.
        if isinstance(node, ast.JoinedStr):
            continue
        value = _value(node)
        if value is None:
            waiting += ast.iter_child_nodes(node)
            continue
        assert isinstance(node, ast.expr)
        start, end = starts[node.lineno - 1] + node.col_offset, starts[(node.end_lineno or 0) - 1] + _end(node)
        found.append(Literal(start, end, value, isinstance(node, ast.UnaryOp)))
    return tuple(sorted(found, key=lambda literal: literal.start))


def with_numbers(code: str, literals: Sequence[Literal], values: Sequence[Number]) -> str:
    """The text with other numbers in these places."""
    text, parts, done = code.encode(), [], 0
    for literal, value in zip(literals, values, strict=True):
        bracketed = text[literal.start - 1 : literal.start] == b"(" and text[literal.end : literal.end + 1] == b")"
        parts += [text[done : literal.start], _written(value, literal.signed or bracketed).encode()]
        done = literal.end
    return b"".join([*parts, text[done:]]).decode()


def _value(node: ast.AST) -> Number | None:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = _value(node.operand) if isinstance(node.operand, ast.Constant) else None
        return None if inner is None else -inner
    if not isinstance(node, ast.Constant) or isinstance(node.value, bool) or not isinstance(node.value, int | float):
        return None
    return node.value if math.isfinite(node.value) and abs(node.value) <= LARGEST else None


def _end(node: ast.expr) -> int:
    return node.end_col_offset or 0


def _written(value: Number, may_be_signed: bool) -> str:
    # A sign binds less than a power or an attribute does: what had none is put in brackets with one.
    return repr(value) if value >= 0 or may_be_signed else f"({value!r})"
