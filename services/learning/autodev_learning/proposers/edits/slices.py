"""A bound of a slice that is missing, too many, or at the wrong end."""

import ast
from collections.abc import Iterator

from autodev_learning.proposers.edits import Operator
from autodev_learning.proposers.pieces import Edit, Piece


class SliceBound(Operator):
    """Begin or end a slice elsewhere: give it a bound, take one away, or let it be the other one.

     def f(text, end):
    -    return text[:end], text[:]
    +    return text[:end], text[end:]
    """

    name = "change a slice's bounds"
    prior = 2.0

    def edits(self, piece: Piece) -> Iterator[Edit]:
        for place, node in piece.of(ast.Slice):
            lower, upper = (piece.source(bound) if bound else "" for bound in (node.lower, node.upper))
            step = f":{piece.source(node.step)}" if node.step else ""
            others = [(upper, lower), ("", upper), (lower, "")]
            names = place.scope.names if place.scope else ()
            if not lower:
                others += [(first, upper) for first in ("1", *names)]
            if not upper:
                others += [(lower, last) for last in ("-1", *names, *(f"-{name}" for name in names))]
            for first, last in dict.fromkeys(others):
                if (first, last) != (lower, upper):
                    yield piece.replace(place, f"{first}:{last}{step}")
