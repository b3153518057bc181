"""One further or one less."""

import ast
from collections.abc import Iterator

from autodev_learning.proposers.edits import Operator
from autodev_learning.proposers.pieces import Edit, Piece, Place

_KEPT = ("True", "False", "None")


class OffByOne(Operator):
    """Count, index or stop one further or one before.

     def f(xs):
    -    return xs[len(xs)]
    +    return xs[len(xs) - 1]
    """

    name = "count one more or one less"
    prior = 5.0

    def edits(self, piece: Piece) -> Iterator[Edit]:
        for place in piece.expressions:
            if _counts(place):
                text = piece.source(place.node)
                yield piece.replace(place, f"{text} + 1")
                yield piece.replace(place, f"{text} - 1")


def _counts(place: Place) -> bool:
    node, parent = place.node, place.parent.node if place.parent else None
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id in ("len", "int", "min", "max", "abs", "sum")
    if isinstance(node, ast.BinOp):
        return isinstance(parent, ast.Return | ast.Assign | ast.Call | ast.Slice) or place.field == "slice"
    if not isinstance(node, ast.Name | ast.Subscript) or place.field == "func":
        return False
    if isinstance(parent, ast.Attribute) or (isinstance(parent, ast.Subscript) and place.field == "value"):
        return False
    return not (isinstance(parent, ast.For | ast.comprehension) and place.field == "iter")
