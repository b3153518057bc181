"""Another function of the program asked."""

import ast
from collections.abc import Iterator
from itertools import permutations

from autodev_learning.proposers.edits import Operator
from autodev_learning.proposers.pieces import Edit, Piece, Scope

# The arguments are every choice of so many names: a long function would have tens of thousands of edits.
_MOST_NAMES = 5


class Helpers(Operator):
    """Ask a function of the same program, where a decision is made.

     def f(xs):
    -    if xs:
    +    if helper(xs):
             return 1
    """

    name = "ask a function of the program"
    prior = 2.0

    def edits(self, piece: Piece) -> Iterator[Edit]:
        for place in piece.expressions:
            if place.scope is None:
                continue
            if place.field == "test" or (isinstance(place.node, ast.Constant) and place.field == "value"):
                text = piece.source(place.node)
                for call in _calls(piece, place.scope):
                    yield piece.replace(place, call)
                    if place.field == "test":
                        yield piece.replace(place, f"{text} and {call}")
            if isinstance(place.node, ast.Call) and isinstance(place.node.func, ast.Name):
                count = len(place.node.args)
                if place.node.func.id in piece.around.functions:
                    for arguments in permutations(place.scope.names[:_MOST_NAMES], count):
                        if count <= 2:
                            yield piece.replace(place, f"{place.node.func.id}({', '.join(arguments)})")


def _calls(piece: Piece, scope: Scope) -> Iterator[str]:
    for name, params in piece.around.functions.items():
        if len(params) > 2:
            continue
        for arguments in permutations(scope.names[:_MOST_NAMES], len(params)):
            yield f"{name}({', '.join(arguments)})"
            if arguments:
                for index in ("0", "1"):
                    yield f"{name}({', '.join((f'{arguments[0]}[{index}]', *arguments[1:]))})"
