"""The numbers that a program's text holds, and the same text with others."""

import ast
import math
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from autodev_learning.evolution.novelty import NotPython
from autodev_learning.lines import lines_of
from autodev_learning.remembering import MIB, remembered

MOST_BYTES_OF_LITERALS = 32 * MIB
BYTES_A_LITERAL = 600
"""With its numbers, of which few are shared."""
LARGEST = 1e15

DISPLAYS = (ast.List, ast.Tuple, ast.Set, ast.Dict)
SMALLEST_SCALE = 0.1
SMALLEST_RANGE, BESIDE = 1e-3, 0.25

Number = int | float


@dataclass(frozen=True, slots=True)
class Literal:
    """A number as it is written, with its sign: bytes `start` to `end` of the text.

    Numbers of one `point` stand side by side in the same brackets, those of one `family` in the same outermost ones;
    one that stands alone has neither (-1).
    """

    start: int
    end: int
    value: Number
    signed: bool
    point: int = -1
    family: int = -1


def _bytes_of(literals: tuple[Literal, ...]) -> int:
    return BYTES_A_LITERAL * len(literals)


@remembered(MOST_BYTES_OF_LITERALS, _bytes_of)
def literals_of(code: str) -> tuple[Literal, ...]:
    """The numbers, in their order in the text. Raises NotPython."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise NotPython(f"no valid Python: {type(error).__name__}") from None
    starts = [0]
    for line in lines_of(code):
        starts.append(starts[-1] + len(line.encode()))
    found: list[Literal] = []
    waiting: list[tuple[ast.AST, int, int]] = [(tree, -1, -1)]
    while waiting:
        node, point, family = waiting.pop()
        # What stands within an f-string has no place of its own before Python 3.12.
        if isinstance(node, ast.JoinedStr):
            continue
        value = _value(node)
        if value is None:
            if isinstance(node, DISPLAYS):
                point = starts[node.lineno - 1] + node.col_offset
                family = point if family < 0 else family
            waiting += [(child, point, family) for child in ast.iter_child_nodes(node)]
            continue
        assert isinstance(node, ast.expr)
        start, end = starts[node.lineno - 1] + node.col_offset, starts[(node.end_lineno or 0) - 1] + _end(node)
        found.append(Literal(start, end, value, isinstance(node, ast.UnaryOp), point, family))
    return tuple(sorted(found, key=lambda literal: literal.start))


def with_numbers(code: str, literals: Sequence[Literal], values: Sequence[Number]) -> str:
    """The text with other numbers in these places."""
    text, parts, done = code.encode(), [], 0
    for literal, value in zip(literals, values, strict=True):
        bracketed = text[literal.start - 1 : literal.start] == b"(" and text[literal.end : literal.end + 1] == b")"
        parts += [text[done : literal.start], _written(value, literal.signed or bracketed).encode()]
        done = literal.end
    return b"".join([*parts, text[done:]]).decode()


def scales_of(literals: Sequence[Literal]) -> list[float]:
    """How far from a number is far: as large as it is, or as its family is on average (root mean square)."""
    squares: dict[int, list[float]] = defaultdict(list)
    for literal in literals:
        squares[literal.family].append(float(literal.value) ** 2)
    means = {family: math.sqrt(sum(each) / len(each)) for family, each in squares.items() if family >= 0}
    return [max(abs(each.value), means.get(each.family, 0.0), SMALLEST_SCALE) for each in literals]


def elsewhere(literals: Sequence[Literal], chance: random.Random) -> list[Number]:
    """All numbers anew: from a little more than the range of their family, or from as far around them as is far."""
    ranged = chance.random() < 0.5
    values = []
    for literal, scale in zip(literals, scales_of(literals), strict=True):
        low, high = _range_of(literal, literals)
        drawn = chance.uniform(low, high) if ranged else chance.gauss(literal.value, scale)
        values.append(round(drawn) if isinstance(literal.value, int) else drawn)
    return values


def _range_of(literal: Literal, literals: Sequence[Literal]) -> tuple[float, float]:
    """A little more than the range of a number's family; of numbers that are all the same, what is around 0."""
    family = [each.value for each in literals if each.family == literal.family >= 0] or [literal.value]
    low, high = float(min(family)), float(max(family))
    if high - low < SMALLEST_RANGE * max(abs(low), abs(high), 1.0):
        far = max(abs(low), abs(high), 1.0)
        low, high = -far, far
    beside = BESIDE * (high - low)
    return low - beside, high + beside


def continuous(literals: Sequence[Literal]) -> list[Literal]:
    """Those that may be any number: fractions, and whole ones that have a fraction in their family."""
    mixed = {each.family for each in literals if isinstance(each.value, float)} - {-1}
    return [each for each in literals if isinstance(each.value, float) or each.family in mixed]


def shape_of(code: str) -> str:
    """The text without its continuous numbers, and without brackets around single ones: what else a program is."""
    text, parts, done = code.encode(), [], 0
    for literal in continuous(literals_of(code)):
        bracketed = text[literal.start - 1 : literal.start] == b"(" and text[literal.end : literal.end + 1] == b")"
        parts.append(text[done : literal.start - bracketed])
        done = literal.end + bracketed
    return b"#".join([*parts, text[done:]]).decode()


def _value(node: ast.AST) -> Number | None:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = _value(node.operand) if isinstance(node.operand, ast.Constant) else None
        return None if inner is None else -inner
    if not isinstance(node, ast.Constant) or isinstance(node.value, bool) or not isinstance(node.value, int | float):
        return None
    return node.value if abs(node.value) <= LARGEST else None


def _end(node: ast.expr) -> int:
    return node.end_col_offset or 0


def _written(value: Number, may_be_signed: bool) -> str:
    # A sign binds less than a power or an attribute does: what had none is put in brackets with one.
    return repr(value) if value >= 0 or may_be_signed else f"({value!r})"
