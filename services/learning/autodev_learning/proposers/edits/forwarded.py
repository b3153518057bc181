"""What is assigned to, changed."""

import ast
from collections.abc import Iterator

from autodev_learning.proposers.edits import Operator
from autodev_learning.proposers.pieces import Edit, Piece


class Forwarded(Operator):
    """Assign to another of the function's targets, or assign where something was only compared.

     def f(xs):
         a = xs[0]
         b = xs[1]
    -    a == b
    +    a = b
         return a
    """

    name = "assign elsewhere"
    prior = 1.5

    def edits(self, piece: Piece) -> Iterator[Edit]:
        targets: dict[str, None] = {}
        for _, assign in piece.of(ast.Assign):
            targets.update(dict.fromkeys(piece.source(target) for target in assign.targets))
        for _, step in piece.of(ast.AugAssign):
            targets.setdefault(piece.source(step.target))
        for place in piece.statements:
            node = place.node
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Compare) and len(node.value.ops) == 1:
                left, right = piece.source(node.value.left), piece.source(node.value.comparators[0])
                yield piece.rewrite(place, f"{piece.indent(node)}{left} = {right}\n", f"`{left} = {right}`")
            elif isinstance(node, ast.Assign | ast.AugAssign):
                target = node.targets[0] if isinstance(node, ast.Assign) else node.target
                old = piece.source(target)
                for other in dict.fromkeys((*_elements(piece, node.value), *targets)):
                    if other != old:
                        start, end = piece.span(target)
                        yield Edit(f"assign to `{other}` for `{old}`", ((start, end, other),))


def _elements(piece: Piece, value: ast.expr) -> Iterator[str]:
    """What is read of other things in a value: `best[i]` in `worst[j] = min(best[i], x)`."""
    for inner in ast.walk(value):
        if isinstance(inner, ast.Subscript | ast.Attribute) and isinstance(inner.ctx, ast.Load):
            yield piece.source(inner)
