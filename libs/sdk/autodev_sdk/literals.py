"""Whether what a program gave is what a task expects: both are text, and neither is ever run."""

import ast
import math

MAX_LITERAL_CHARACTERS = 100_000
MAX_NESTING = 50
RELATIVE_TOLERANCE = 1e-9


def matches(actual_literal: str, expected: str) -> bool:
    """Tell whether two literals are equal as Python's `==` has it, floats within 1e-9 of each other, relatively.

    Text that is no literal, is longer than MAX_LITERAL_CHARACTERS or nests deeper than MAX_NESTING matches nothing.
    """
    try:
        return _equal(_parse_literal(actual_literal), _parse_literal(expected))
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError, OverflowError):
        return False


def _parse_literal(text: str) -> object:
    if len(text) > MAX_LITERAL_CHARACTERS or _nesting(text) > MAX_NESTING:
        raise ValueError("too large to compare")
    return ast.literal_eval(_FloatNames().visit(ast.parse(text.strip(), mode="eval")))


def _nesting(text: str) -> int:
    """Bound how deep `text` can nest: brackets inside strings count too, so it may be too high, never too low."""
    depth = deepest = 0
    for character in text:
        if character in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in ")]}":
            depth = max(0, depth - 1)
    return deepest


class _FloatNames(ast.NodeTransformer):
    """repr(float('inf')) is `inf`, which is no literal: give the names of floats their values."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id in ("inf", "nan"):
            return ast.Constant(value=float(node.id))
        return node


def _equal(actual: object, expected: object) -> bool:
    if isinstance(actual, float) or isinstance(expected, float):
        return _numbers_close(actual, expected)
    if isinstance(actual, list | tuple) and isinstance(expected, list | tuple):
        return (
            type(actual) is type(expected)
            and len(actual) == len(expected)
            and all(_equal(left, right) for left, right in zip(actual, expected, strict=True))
        )
    if isinstance(actual, dict) and isinstance(expected, dict):
        return actual.keys() == expected.keys() and all(_equal(actual[key], expected[key]) for key in expected)
    return actual == expected


def _numbers_close(actual: object, expected: object) -> bool:
    if not isinstance(actual, int | float) or not isinstance(expected, int | float):
        return actual == expected
    if math.isnan(actual) or math.isnan(expected):
        # A task that expects NaN can be met by nothing else.
        return math.isnan(actual) and math.isnan(expected)
    return math.isclose(actual, expected, rel_tol=RELATIVE_TOLERANCE)
