"""A variable where something is worked out."""

import ast
from collections.abc import Iterator

from autodev_learning.proposers.edits import Operator
from autodev_learning.proposers.pieces import Edit, Piece

_WORKED_OUT = (ast.Call, ast.BinOp, ast.Subscript, ast.Attribute)
_MOST_NAMES = 8


class Plain(Operator):
    """Use a variable as it is instead of what is worked out.

     def f(x, y):
    -    return x + max(y, 0)
    +    return x + y
    """

    name = "use a variable as it is"
    prior = 1.5

    def edits(self, piece: Piece) -> Iterator[Edit]:
        for place in piece.expressions:
            if isinstance(place.node, _WORKED_OUT) and place.scope is not None and place.field != "func":
                for name in piece.nearest_names(place, place.scope, _MOST_NAMES):
                    yield piece.replace(place, name)
