"""Another test."""

import ast
from collections.abc import Iterator

from autodev_learning.proposers.edits import Operator
from autodev_learning.proposers.pieces import Edit, Piece, Scope

# Names are tested in pairs: without a limit, a long function would have thousands of edits.
_MOST_NAMES = 7


class Truth(Operator):
    """Decide by a name's value: compare a counter, ask for membership or emptiness.

     def f(xs):
         n = len(xs)
    -    return True
    +    return n == 1
    """

    name = "decide by another test"
    prior = 2.5

    def edits(self, piece: Piece) -> Iterator[Edit]:
        for place in piece.expressions:
            if place.scope is None or place.parent is None:
                continue
            text = piece.source(place.node)
            if place.field == "test":
                for test in tests_of(place.scope):
                    if test != text:
                        yield piece.replace(place, test)
                for name in place.scope.names[:_MOST_NAMES]:
                    for test in (f"not {name}", f"{name} is None", f"len({name}) == 0"):
                        yield piece.replace(place, f"{test} or {text}")
                    yield piece.replace(place, f"{name} and {text}")
                    yield piece.replace(place, f"{text} or not {name}")
            elif isinstance(place.parent.node, ast.Return) and text in ("True", "False"):
                for test in tests_of(place.scope):
                    yield piece.replace(place, test)


def tests_of(scope: Scope) -> Iterator[str]:
    """Tests of a function's names."""
    names = scope.names[:_MOST_NAMES]
    for name in names:
        yield from (f"{name} == 1", f"{name} > 0", f"{name} == 0", f"not {name}", name, f"len({name}) == 1")
        yield from (f"len({name}) == 0", f"len({name}) > 1", f"len({name}) <= 1", f"{name} <= 1", f"{name} is None")
        for other in names:
            if other != name:
                yield from (f"{name} in {other}", f"{name} not in {other}", f"{name} == {other}", f"{name} < {other}")
                yield from (f"{name} <= {other}", f"{name} != {other}")
