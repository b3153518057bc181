"""Another comparison."""

import ast
from collections.abc import Iterator

from autodev_learning.proposers.edits import Operator
from autodev_learning.proposers.pieces import Edit, Piece

_ORDER = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!="}
_OTHERS = {ast.In: ("not in", "=="), ast.NotIn: ("in", "!="), ast.Is: ("==", "is not"), ast.IsNot: ("!=", "is")}
_NEAR = {
    "<": ("<=", ">"),
    "<=": ("<", ">="),
    ">": (">=", "<", "!="),
    ">=": (">", "<=", "=="),
    "==": ("!=", "in"),
    "!=": ("==", ">", "<"),
    "in": ("not in", "=="),
    "not in": ("in",),
    "is": ("==",),
    "is not": ("!=",),
}
"""What a comparison is taken for most often; the others cost more."""
_TEXTS = {**_ORDER, ast.In: "in", ast.NotIn: "not in", ast.Is: "is", ast.IsNot: "is not"}


class Comparison(Operator):
    """Compare otherwise: `<` for `<=`, `not in` for `in`, and the rest of their families.

     def f(x, y):
    -    return x < y
    +    return x <= y
    """

    name = "change a comparison"
    prior = 6.0

    def edits(self, piece: Piece) -> Iterator[Edit]:
        for place, node in piece.of(ast.Compare):
            left = node.left
            for operator, right in zip(node.ops, node.comparators, strict=True):
                start, end = piece.span(left)[1], piece.span(right)[0]
                kind, between = type(operator), piece.text[start:end]
                old = _TEXTS[kind]
                at = between.find(old)
                others = _OTHERS.get(kind) or [*(text for text in _ORDER.values() if text != old), "in"]
                for other in others if at >= 0 else ():
                    new = f" {other} " if other.isalpha() and between.strip() == between else other
                    where = place.scope.name if place.scope else ""
                    description = f"{where}: `{other}` for `{old}` in `{piece.source(node)}`"
                    bits = 0.0 if other in _NEAR.get(old, ()) else 2.0
                    yield Edit(description, ((start + at, start + at + len(old), new),), bits)
                left = right
