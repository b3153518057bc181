"""The other way round."""

import ast
from collections.abc import Iterator

from autodev_learning.proposers.edits import Operator
from autodev_learning.proposers.pieces import Edit, Piece


class Negation(Operator):
    """Decide the other way round, or take another sign.

     def f(x):
    -    if x:
    +    if not x:
             return 1
    """

    name = "negate"
    prior = 3.0

    def edits(self, piece: Piece) -> Iterator[Edit]:
        for place in piece.expressions:
            node, text = place.node, piece.source(place.node)
            if isinstance(node, ast.UnaryOp):
                yield piece.replace(place, piece.source(node.operand))
            elif place.field == "test" or isinstance(node, ast.BoolOp):
                yield piece.replace(place, f"not {text}" if isinstance(node, ast.Name | ast.Call) else f"not ({text})")
            elif place.field in ("value", "values") and isinstance(node, ast.Compare):
                yield piece.replace(place, f"not {text}")
            elif isinstance(node, ast.Name) and place.field in ("left", "right", "args", "slice", "value"):
                yield piece.replace(place, f"-{text}")
