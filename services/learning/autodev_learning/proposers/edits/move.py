"""A statement elsewhere."""

import ast
from collections.abc import Iterator

from autodev_learning.proposers.edits import Operator
from autodev_learning.proposers.pieces import Compound, Edit, Piece, Place


class Move(Operator):
    """Move a statement: out of a block, into the one before it or after it, one step earlier.

     def f(xs):
         for x in xs:
             if x:
                 return True
    -        return False
    +    return False
    """

    name = "move a statement"
    prior = 7.0

    def edits(self, piece: Piece) -> Iterator[Edit]:
        for place in piece.statements:
            node = place.node
            assert isinstance(node, ast.stmt)
            without = self._without(piece, place)
            for around in place.ancestors:
                if not isinstance(around.node, Compound):
                    break
                if piece.is_elif(around):
                    continue
                assert isinstance(around.node, ast.stmt)
                text, first = piece.block([node], piece.indent(around.node)), piece.first_line(node)
                heading = piece.first_line(around.node)
                behind, before = piece.after(around, text, ""), piece.before(around, text, "")
                yield piece.together(f"move `{first}` behind `{heading}`", place, without, behind)
                yield piece.together(f"move `{first}` before `{heading}`", place, without, before)
            yield from self._to_neighbours(piece, place, without)

    def _without(self, piece: Piece, place: Place) -> Edit:
        """The edit that takes the statement away, with an `else` that would be empty."""
        parent = place.parent.node if place.parent else None
        if place.field == "orelse" and len(place.siblings) == 1 and parent is not None:
            start, end = piece.rows(place.siblings[0])
            if isinstance(parent, ast.If | ast.For | ast.While) and parent.body:
                start = piece.rows(parent.body[-1])[1]
            return Edit("", ((start, end, ""),))
        return piece.rewrite(place, "", "")

    def _to_neighbours(self, piece: Piece, place: Place, without: Edit) -> Iterator[Edit]:
        node, index = place.node, place.siblings.index(place.node)
        assert isinstance(node, ast.stmt)
        first = piece.first_line(node)
        if index > 0:
            before = place.siblings[index - 1]
            start = piece.rows(before)[0]
            up = Edit("", ((start, start, piece.block([node], piece.indent(before))),))
            yield piece.together(f"do `{first}` one step earlier", place, up, without)
            for block in _blocks(before):
                indent = piece.indent(block[0])
                end, begin = piece.rows(block[-1])[1], piece.rows(block[0])[0]
                text = piece.block([node], indent)
                heading = piece.first_line(before)
                last = Edit("", ((end, end, text),))
                yield piece.together(f"move `{first}` into `{heading}`", place, last, without)
                yield piece.together(
                    f"move `{first}` to the start of `{heading}`", place, Edit("", ((begin, begin, text),)), without
                )
        if index + 1 < len(place.siblings):
            after = place.siblings[index + 1]
            for block in _blocks(after):
                begin = piece.rows(block[0])[0]
                text = piece.block([node], piece.indent(block[0]))
                down = Edit("", ((begin, begin, text),))
                yield piece.together(f"move `{first}` into `{piece.first_line(after)}`", place, without, down)


def _blocks(node: ast.stmt) -> Iterator[list[ast.stmt]]:
    """The blocks of a compound statement, and of those that stand last in them."""
    if not isinstance(node, Compound):
        return
    for block in (node.body, getattr(node, "orelse", [])):
        if block:
            yield block
            yield from _blocks(block[-1])
