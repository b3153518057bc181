"""Another loop."""

import ast
from collections.abc import Iterator

from autodev_learning.proposers.edits import Operator
from autodev_learning.proposers.pieces import Edit, Piece, Place, Scope


class Loops(Operator):
    """Loop over something else: from another start, to another stop, over a copy, over indices, backwards.

     def f(n):
    -    for i in range(n):
    +    for i in range(n + 1):
             print(i)
    """

    name = "loop over something else"
    prior = 3.0

    def edits(self, piece: Piece) -> Iterator[Edit]:
        for place in piece.expressions:
            if place.field == "iter" and place.scope and place.parent:
                for other in dict.fromkeys(_iterables(piece, place, place.scope)):
                    if other != piece.source(place.node):
                        yield piece.replace(place, other)
                target = getattr(place.parent.node, "target", None)
                if isinstance(target, ast.Name):
                    yield from self._counted(piece, place, target)
            elif place.field == "test" and place.parent and isinstance(place.parent.node, ast.While) and place.scope:
                text = piece.source(place.node)
                for name in place.scope.names:
                    yield piece.replace(place, name)
                    yield piece.replace(place, f"{name} > 0")
                    for group in place.scope.names:
                        if name != group:
                            yield piece.replace(place, f"{name} < len({group}) and ({text})")
                            yield piece.replace(place, f"{name} < len({group})")

    def _counted(self, piece: Piece, place: Place, target: ast.Name) -> Iterator[Edit]:
        text = piece.source(place.node)
        target_place = next(other for other in piece.places if other.node is target)
        for targets, iterable in ((f"i, {target.id}", f"enumerate({text})"),):
            yield piece.together(
                f"count the turns of `for {target.id}`",
                place,
                piece.replace(target_place, targets),
                piece.replace(place, iterable),
            )


def _iterables(piece: Piece, place: Place, scope: Scope) -> Iterator[str]:
    node, text = place.node, piece.source(place.node)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range" and node.args:
        arguments = [piece.source(argument) for argument in node.args]
        start, stop = ("0", arguments[0]) if len(arguments) == 1 else arguments[:2]
        for first in dict.fromkeys((start, "0", "1", f"{start} + 1", f"{start} - 1")):
            for last in (stop, f"{stop} + 1", f"{stop} - 1"):
                yield f"range({last})" if first == "0" else f"range({first}, {last})"
        yield f"reversed(range({start}, {stop}))"
        yield f"range({stop}, {start}, -1)"
        yield f"range({stop} - 1, {start} - 1, -1)"
        yield f"range(len({stop}))"
        yield stop
        return
    forms = ("list({})", "range(len({}))", "reversed({})", "sorted({})", "{}[1:]", "{}[:-1]", "{}[::-1]", "range({})")
    for form in (*forms, "{}.items()", "{}.values()", "set({})", "enumerate({})"):
        yield form.format(text)
    for name in scope.names:
        if name != text:
            yield from (name, f"range(len({name}))", f"{text}[{name}:]", f"{text}[:{name}]", f"{text}[{name} + 1:]")
