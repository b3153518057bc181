"""A missing term, or one too many."""

import ast
from collections.abc import Iterator, Sequence

from autodev_learning.proposers.edits import Operator
from autodev_learning.proposers.pieces import Edit, Piece, Place

_SIGNS = ("+", "-", "*", "**")
_MOST_TERMS = 1_000
"""Terms in all places together: where there would be more, each place has its nearest names."""
_MOST_JOINED = 8
"""Names that one list is joined with."""


class Term(Operator):
    """Add a term that is missing, or leave one out.

     def f(x, y):
    -    return x
    +    return x + y
    """

    name = "add or drop a term"
    prior = 2.5

    def edits(self, piece: Piece) -> Iterator[Edit]:
        for place, node in piece.of(ast.BinOp):
            yield piece.replace(place, piece.source(node.left))
            yield piece.replace(place, piece.source(node.right))
        for place in piece.expressions:
            if isinstance(place.node, ast.ListComp | ast.List) and place.scope is not None:
                # Of lists it matters which comes first.
                text = piece.source(place.node)
                for other in piece.nearest_names(place, place.scope, _MOST_JOINED):
                    yield piece.replace(place, f"{other} + {text}")
                    yield piece.replace(place, f"{text} + {other}")
        summed = [place for place in piece.expressions if _is_summed(place)]
        for place in summed:
            if place.scope is None:
                continue
            text = piece.source(place.node)
            names = piece.nearest_names(place, place.scope, _MOST_TERMS // len(summed))
            for other in _terms(names, text):
                for sign in _SIGNS[:2]:
                    yield piece.replace(place, f"{text} {sign} {other}")
                yield piece.replace(place, f"max({text}, {other})")
                yield piece.replace(place, f"min({text}, {other})")
            for form in ("max(0, {})", "{} ** 2", "{} * 2", "{} // 2", "{} % 2", "abs({})"):
                yield piece.replace(place, form.format(text))


def _terms(names: Sequence[str], text: str) -> Iterator[str]:
    for name in names:
        if name != text:
            yield name
            yield f"[{name}]"


def _is_summed(place: Place) -> bool:
    node, parent = place.node, place.parent.node if place.parent else None
    if isinstance(node, ast.Name | ast.Call | ast.BinOp | ast.Subscript) and place.field != "func":
        return isinstance(parent, ast.Return | ast.Assign | ast.AugAssign | ast.BinOp | ast.Compare | ast.Call) or (
            place.field in ("slice", "lower", "upper")
        )
    return False
