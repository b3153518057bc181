"""Branches arranged otherwise."""

import ast
from collections.abc import Iterator

from autodev_learning.proposers.edits import Operator
from autodev_learning.proposers.pieces import Edit, Piece


class Branches(Operator):
    """Let a branch's two sides change places, or make two `if`s one decision.

     def f(x):
         if x:
    -        return 1
    +        return 2
         else:
    -        return 2
    +        return 1
    """

    name = "rearrange branches"
    prior = 2.0

    def edits(self, piece: Piece) -> Iterator[Edit]:
        for place, node in piece.of(ast.If):
            where = place.scope.name if place.scope else ""
            first = node.orelse[0] if node.orelse else None
            if first is not None and not (isinstance(first, ast.If) and piece.source(first).startswith("elif")):
                one = piece.rows(node.body[0])[0], piece.rows(node.body[-1])[1]
                two = piece.rows(first)[0], piece.rows(node.orelse[-1])[1]
                indents = piece.indent(node.body[0]), piece.indent(first)
                texts = piece.block(node.orelse, indents[0]), piece.block(node.body, indents[1])
                description = f"{where}: swap the sides of `{piece.first_line(node)}`"
                yield Edit(description, ((*one, texts[0]), (*two, texts[1])))
        for place in piece.statements:
            index = place.siblings.index(place.node)
            before = place.siblings[index - 1] if index else None
            behind = place.node
            if not isinstance(before, ast.If) or before.orelse:
                continue
            assert isinstance(behind, ast.stmt)
            if isinstance(behind, ast.If):
                start = piece.span(behind)[0]
                yield Edit(f"make `{piece.first_line(behind)}` an `elif`", ((start, start, "el"),))
            indent = piece.indent(behind)
            text = f"{indent}else:\n{piece.block([behind], indent + piece.unit)}"
            yield piece.rewrite(place, text, f"`{piece.first_line(behind)}` only otherwise")
