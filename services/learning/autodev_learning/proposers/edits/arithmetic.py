"""Another arithmetic operation."""

import ast
from collections.abc import Iterator

from autodev_learning.proposers.edits import Operator
from autodev_learning.proposers.pieces import Edit, Piece

_SIGNS: dict[type[ast.operator], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.Pow: "**",
    ast.BitAnd: "&",
    ast.BitOr: "|",
    ast.BitXor: "^",
    ast.LShift: "<<",
    ast.RShift: ">>",
}
_FAMILIES = (("+", "-", "*"), ("*", "/", "//", "%", "**"), ("&", "|", "^"), ("<<", ">>"), ("-", "|", "&"))


class Arithmetic(Operator):
    """Calculate otherwise: add instead of taking away, divide as integers, `&` for `^`.

     def f(n):
    -    n ^= n - 1
    +    n &= n - 1
    """

    name = "change an arithmetic operation"
    prior = 3.0

    def edits(self, piece: Piece) -> Iterator[Edit]:
        for place in piece.places:
            node = place.node
            if not isinstance(node, ast.BinOp | ast.AugAssign):
                continue
            left, right = (node.left, node.right) if isinstance(node, ast.BinOp) else (node.target, node.value)
            start, end = piece.span(left)[1], piece.span(right)[0]
            old = _SIGNS.get(type(node.op), "")
            at = piece.text[start:end].find(old) if old else -1
            if at < 0:
                continue
            for other in dict.fromkeys(sign for family in _FAMILIES if old in family for sign in family):
                if other != old:
                    where = place.scope.name if place.scope else ""
                    description = f"{where}: `{other}` for `{old}` in `{piece.first_line(node)}`"
                    yield Edit(description, ((start + at, start + at + len(old), other),))
