"""Something left out."""

import ast
from collections.abc import Iterator

from autodev_learning.proposers.edits import Operator
from autodev_learning.proposers.pieces import Edit, Piece, Place


class Delete(Operator):
    """Leave something out: a statement, a branch, or the condition around one.

     def f(xs):
    -    xs.sort()
         return xs
    """

    name = "delete a statement or a branch"
    prior = 3.0

    def edits(self, piece: Piece) -> Iterator[Edit]:
        for place in piece.statements:
            node = place.node
            assert isinstance(node, ast.stmt)
            yield piece.rewrite(place, "", f"delete `{piece.first_line(node)}`")
            if isinstance(node, ast.If | ast.For | ast.While | ast.With) and place.index is not None:
                text = piece.block(node.body, piece.indent(node))
                yield piece.rewrite(place, text, f"take `{piece.first_line(node)}` away from its body")
                if node.body and getattr(node, "orelse", None):
                    text = piece.block(node.orelse, piece.indent(node))  # type: ignore[union-attr]
                    if not text.lstrip().startswith("elif"):
                        yield piece.rewrite(place, text, f"only the `else` of `{piece.first_line(node)}`")
        for place in piece.places:
            if isinstance(place.node, ast.If | ast.For | ast.While):
                yield from self._branches(piece, place, place.node)

    def _branches(self, piece: Piece, place: Place, node: ast.If | ast.For | ast.While) -> Iterator[Edit]:
        if not node.orelse:
            return
        body_end, end = piece.rows(node.body[-1])[1], piece.rows(node.orelse[-1])[1]
        where = place.scope.name if place.scope else ""
        first = node.orelse[0]
        indent = piece.indent(node)
        heading = piece.first_line(node)
        yield Edit(f"{where}: delete what is else of `{heading}`", ((body_end, end, ""),))
        is_elif = len(node.orelse) == 1 and isinstance(first, ast.If) and piece.source(first).startswith("elif")
        if not is_elif:
            text = piece.block(node.orelse, indent)
            yield Edit(f"{where}: take `else` away from its body", ((body_end, end, text),))
        elif isinstance(first, ast.If):
            inner = piece.rows(first.body[0])[0]
            if not first.orelse:
                yield Edit(f"{where}: `else` for `{piece.first_line(first)}`", ((body_end, inner, f"{indent}else:\n"),))
            start = piece.span(first)[0]
            yield Edit(f"{where}: `if` for `{piece.first_line(first)}`", ((start, start + 2, ""),))
            test = piece.span(node.test)  # type: ignore[union-attr]
            other = piece.span(first.test)
            cut = (test[0], other[0], "")
            yield Edit(f"{where}: delete the branch `{heading}`", (cut,))
            rest = piece.rows(first.body[-1])[1]
            yield Edit(f"{where}: delete the branch `{piece.first_line(first)}`", ((body_end, rest, ""),))
