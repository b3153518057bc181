"""Arguments and operands in another order."""

import ast
from collections.abc import Iterator

from autodev_learning.proposers.edits import Operator
from autodev_learning.proposers.pieces import Edit, Piece, Place


class Arguments(Operator):
    """Let two arguments, operands or indices change places.

     def f(a, b):
    -    return f(a % b, b)
    +    return f(b, a % b)
    """

    name = "swap arguments"
    prior = 4.0

    def edits(self, piece: Piece) -> Iterator[Edit]:
        for place in piece.places:
            node = place.node
            if isinstance(node, ast.Call):
                yield from self._each_two(piece, place, node.args)
                if isinstance(node.func, ast.Attribute) and len(node.args) == 1:
                    yield self._swap(piece, place, node.func.value, node.args[0])
            elif isinstance(node, ast.Tuple):
                yield from self._each_two(piece, place, node.elts)
            elif isinstance(node, ast.BinOp):
                yield self._swap(piece, place, node.left, node.right)
            elif isinstance(node, ast.Subscript):
                if isinstance(node.slice, ast.Name):
                    yield self._swap(piece, place, node.value, node.slice)
                if isinstance(node.value, ast.Subscript):
                    yield self._swap(piece, place, node.value.slice, node.slice)

    def _each_two(self, piece: Piece, place: Place, nodes: list[ast.expr]) -> Iterator[Edit]:
        for second in range(1, min(len(nodes), 5)):
            for first in range(second):
                yield self._swap(piece, place, nodes[first], nodes[second])

    def _swap(self, piece: Piece, place: Place, first: ast.expr, second: ast.expr) -> Edit:
        start, end = piece.span(first), piece.span(second)
        texts = piece.text[start[0] : start[1]], piece.text[end[0] : end[1]]
        where = place.scope.name if place.scope else ""
        description = f"{where}: swap `{texts[0]}` and `{texts[1]}`"
        return Edit(description, ((*start, texts[1]), (*end, texts[0])))
