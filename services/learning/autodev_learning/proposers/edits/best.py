"""The best so far, kept."""

import ast
from collections.abc import Iterator

from autodev_learning.proposers.edits import Operator
from autodev_learning.proposers.pieces import Edit, Piece


class Best(Operator):
    """Let what is assigned replace what was there only where it is greater, or less.

     def f(xs):
         best = xs[0]
         for x in xs:
    -        best = x
    +        best = max(best, x)
         return best
    """

    name = "keep the greater or the less"
    prior = 2.0

    def edits(self, piece: Piece) -> Iterator[Edit]:
        for place, node in piece.of(ast.Assign):
            target, value = node.targets[0], piece.source(node.value)
            if place.loops and len(node.targets) == 1 and isinstance(target, ast.Name | ast.Subscript | ast.Attribute):
                start, end = piece.span(node.value)
                for function in ("max", "min"):
                    text = f"{function}({piece.source(target)}, {value})"
                    where = place.scope.name if place.scope else ""
                    yield Edit(f"{where}: `{text}` for `{value}`", ((start, end, text),))
