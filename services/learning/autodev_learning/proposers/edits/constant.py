"""Another constant."""

import ast
from collections.abc import Iterator

from autodev_learning.proposers.edits import Operator
from autodev_learning.proposers.pieces import Edit, Piece, Place

_EMPTY = ("[]", "()", "{}", "set()", "''", "0", "1", "None", "True", "False")
_SPELT = {"true": "True", "false": "False", "none": "None", "null": "None"}


class Constant(Operator):
    """Start, step or answer with another constant: an integer one off, True for False, [] for ().

     def f(xs):
    -    n = 0
    +    n = 1
         return n
    """

    name = "change a constant"
    prior = 4.0

    def edits(self, piece: Piece) -> Iterator[Edit]:
        for place in piece.expressions:
            text = piece.source(place.node)
            for other in dict.fromkeys(_others(place, text)):
                if other != text:
                    yield piece.replace(place, other)


def _others(place: Place, text: str) -> Iterator[str]:
    node, parent = place.node, place.parent.node if place.parent else None
    if isinstance(node, ast.Name):
        if node.id in _SPELT:
            yield _SPELT[node.id]
        return
    if isinstance(node, ast.Constant):
        value = node.value
        if isinstance(value, bool):
            yield str(not value)
        elif isinstance(value, int):
            yield from map(str, (value + 1, value - 1, 0, 1, 2, -value))
        elif isinstance(value, float):
            yield from (str(int(value)) if value.is_integer() else str(value / 2), "0", "1", "float('inf')")
        elif isinstance(value, str):
            yield from ("''", "' '")
    if isinstance(parent, ast.Assign | ast.Return) and text.replace(" ", "") in (*_EMPTY, "list()", "dict()"):
        yield from _EMPTY
    if isinstance(node, ast.List | ast.Tuple) and not node.elts:
        yield from ("[[]]", "[()]", "['']", "[0]")
    if text.replace(" ", "") in ("float('inf')", 'float("inf")'):
        yield from ("0", "-float('inf')", "-1", "None")
