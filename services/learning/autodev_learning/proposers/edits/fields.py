"""Another attribute."""

import ast
from collections.abc import Iterator

from autodev_learning.proposers.edits import Operator
from autodev_learning.proposers.pieces import Edit, Piece


class Fields(Operator):
    """Read another attribute that the program reads, or the object itself.

     def f(node):
         print(node.left)
    -    return node.right
    +    return node.left
    """

    name = "use another attribute"
    prior = 2.0

    def edits(self, piece: Piece) -> Iterator[Edit]:
        known = dict.fromkeys(node.attr for place, node in piece.of(ast.Attribute) if place.field != "func")
        for place, node in piece.of(ast.Attribute):
            if place.field == "func":
                continue
            end = piece.span(node)[1]
            where = place.scope.name if place.scope else ""
            for other in known:
                if other != node.attr:
                    yield Edit(f"{where}: `.{other}` for `.{node.attr}`", ((end - len(node.attr), end, other),))
            if isinstance(node.ctx, ast.Load):
                yield piece.replace(place, piece.source(node.value))
