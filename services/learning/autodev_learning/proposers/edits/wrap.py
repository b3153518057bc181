"""A value in a container, converted, or an element of it."""

import ast
from collections.abc import Iterator

from autodev_learning.proposers.edits import Operator
from autodev_learning.proposers.pieces import Edit, Piece, Place

_ADDED = ("[{}]", "({},)", "list({})", "str({})")
_USED = (
    "{}[0]",
    "{}[1]",
    "{}[-1]",
    "{}[1:]",
    "{}[:-1]",
    "{}[::-1]",
    "list({})",
    "tuple({})",
    "len({})",
    "sorted({})",
    "set({})",
    "str({})",
    "int({})",
    "[{}]",
)


class Wrap(Operator):
    """Put a value into a container, convert one, or take an element or a part of it.

     def f(x, y):
    -    x += y
    +    x += [y]
         return x
    """

    name = "wrap or unwrap a value"
    prior = 4.0

    def edits(self, piece: Piece) -> Iterator[Edit]:
        for place in piece.expressions:
            node, text = place.node, piece.source(place.node)
            parent = place.parent.node if place.parent else None
            if isinstance(parent, ast.AugAssign) or (
                isinstance(parent, ast.BinOp) and place.field in ("left", "right")
            ):
                for form in _ADDED:
                    yield piece.replace(place, form.format(text))
            if isinstance(node, ast.Name | ast.Subscript | ast.Call) and _is_used(place):
                for form in _USED:
                    yield piece.replace(place, form.format(text))
            if isinstance(node, ast.Subscript):
                yield piece.replace(place, piece.source(node.value))
                yield from self._indices(piece, place, node)
            if isinstance(node, ast.List | ast.Tuple) and len(node.elts) == 1:
                yield piece.replace(place, piece.source(node.elts[0]))
            if isinstance(node, ast.ListComp) and place.field == "args":
                yield piece.replace(place, text[1:-1])

    def _indices(self, piece: Piece, place: Place, node: ast.Subscript) -> Iterator[Edit]:
        value, index = piece.source(node.value), node.slice
        if isinstance(index, ast.Slice):
            lower = piece.source(index.lower) if index.lower else ""
            upper = piece.source(index.upper) if index.upper else ""
            for bounds in (f"{lower}:", f":{upper}", f"{lower} + 1:{upper}", f"{lower}:{upper} + 1", f"{upper}:"):
                if "  " not in bounds and not bounds.startswith(" ") and ": +" not in bounds:
                    yield piece.replace(place, f"{value}[{bounds}]")
            if lower or upper:
                yield piece.replace(place, f"{value}[{lower or upper}]")
        else:
            text = piece.source(index)
            for bounds in (f":{text}", f"{text}:", f"{text} + 1:", f":{text} + 1"):
                yield piece.replace(place, f"{value}[{bounds}]")


def _is_used(place: Place) -> bool:
    parent = place.parent.node if place.parent else None
    if isinstance(parent, ast.Attribute) or place.field in ("func", "test"):
        return False
    return not (isinstance(parent, ast.Subscript) and place.field == "value")
