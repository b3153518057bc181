"""Another variable."""

import ast
from collections.abc import Iterator

from autodev_learning.proposers.edits import Operator
from autodev_learning.proposers.pieces import Edit, Piece

_CONSTANTS = ("True", "False", "None")


class Variable(Operator):
    """Read another variable of the same function: the one that was meant.

     def f(x, y):
    -    return x
    +    return y
    """

    name = "use another variable"
    prior = 4.0

    def edits(self, piece: Piece) -> Iterator[Edit]:
        for place in piece.expressions:
            if isinstance(place.node, ast.Name) and place.scope and place.field != "func":
                for other in place.scope.names:
                    if other != place.node.id:
                        yield piece.replace(place, other)
        for place, node in piece.of(ast.Name):
            # What is bound may be meant to be another, too: `prev = node` for `next = node`.
            if isinstance(node.ctx, ast.Store) and place.scope and isinstance(place.statement.node, ast.Assign):
                for other in place.scope.names:
                    if other != node.id:
                        yield piece.replace(place, other)
