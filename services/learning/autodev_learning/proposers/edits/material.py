"""Another expression of the same function."""

import ast
from collections.abc import Iterator

from autodev_learning.proposers.edits import Operator
from autodev_learning.proposers.pieces import Edit, Piece, Place

_KINDS = (ast.Call, ast.BinOp, ast.Subscript, ast.Attribute, ast.Compare, ast.BoolOp, ast.UnaryOp)
_MOST = 12
_LONGEST = 50


class Material(Operator):
    """Put another expression of the same function in an expression's place.

     def f(xs, i):
         last = xs[i - 1]
    -    return xs[i]
    +    return xs[i - 1]
    """

    name = "use another expression of the function"
    prior = 1.5

    def edits(self, piece: Piece) -> Iterator[Edit]:
        for place in piece.expressions:
            node = place.node
            if not isinstance(node, (*_KINDS, ast.Name, ast.Constant)) or place.field == "func":
                continue
            text = piece.source(node)
            for other in _others(piece, place):
                if other != text:
                    yield piece.replace(place, other)


def _others(piece: Piece, place: Place) -> Iterator[str]:
    """The function's other expressions, those of the same kind first."""
    mine = isinstance(place.node, ast.Compare | ast.BoolOp)
    found: dict[str, bool] = {}
    for other in piece.expressions:
        if other.scope is place.scope and isinstance(other.node, _KINDS) and other.field != "func":
            is_test = isinstance(other.node, ast.Compare | ast.BoolOp)
            text = piece.source(other.node)
            if is_test == mine and len(text) <= _LONGEST and "\n" not in text:
                found.setdefault(text, type(other.node) is type(place.node))
    yield from sorted(found, key=lambda text: not found[text])[:_MOST]
