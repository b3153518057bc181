"""Another method or function called."""

import ast
from collections.abc import Iterator

from autodev_learning.proposers.edits import Operator
from autodev_learning.proposers.pieces import Edit, Piece, Place

_METHODS = (
    ("append", "extend", "add", "insert", "remove"),
    ("remove", "discard", "pop", "append"),
    ("pop", "popleft", "popitem"),
    ("append", "appendleft"),
    ("index", "count", "find"),
    ("lower", "upper", "strip", "title"),
    ("split", "splitlines", "strip"),
    ("lstrip", "rstrip", "strip"),
    ("find", "rfind", "index", "rindex"),
    ("keys", "values", "items"),
    ("startswith", "endswith"),
    ("sort", "reverse"),
    ("union", "intersection", "difference", "update"),
)
_FUNCTIONS = (
    ("min", "max", "sum", "abs"),
    ("any", "all"),
    ("sum", "len"),
    ("list", "tuple", "set", "sorted"),
    ("int", "float", "str", "round"),
    ("ord", "chr"),
)


class Callee(Operator):
    """Call another method or function of the same family, call what was only named or subscripted, or do not call.

     def f(xs):
    -    return any(x > 0 for x in xs)
    +    return all(x > 0 for x in xs)
    """

    name = "call otherwise"
    prior = 4.0

    def edits(self, piece: Piece) -> Iterator[Edit]:
        for place, call in piece.of(ast.Call):
            yield from self._other(piece, place, call)
        for place, line in piece.of(ast.Expr):
            if isinstance(line.value, ast.Attribute | ast.Name):
                text = piece.source(line.value)
                yield piece.rewrite(place, f"{piece.indent(line)}{text}()\n", f"call `{text}`")
        for place in piece.expressions:
            node = place.node
            if isinstance(node, ast.Subscript) and not isinstance(node.slice, ast.Slice):
                yield piece.replace(place, f"{piece.source(node.value)}({piece.source(node.slice)})")
            if isinstance(node, ast.Attribute) and place.field != "func" and any(node.attr in f for f in _METHODS):
                yield piece.replace(place, f"{piece.source(node)}()")

    def _other(self, piece: Piece, place: Place, call: ast.Call) -> Iterator[Edit]:
        function = call.func
        start, end = piece.span(function)
        where = place.scope.name if place.scope else ""
        if isinstance(function, ast.Attribute):
            for other in dict.fromkeys(name for f in _METHODS if function.attr in f for name in f):
                if other != function.attr:
                    description = f"{where}: `.{other}` for `.{function.attr}`"
                    yield Edit(description, ((end - len(function.attr), end, other),))
        elif isinstance(function, ast.Name):
            families = [*_FUNCTIONS, tuple(piece.around.functions)]
            for other in dict.fromkeys(name for f in families if function.id in f for name in f):
                if other != function.id:
                    yield Edit(f"{where}: `{other}` for `{function.id}`", ((start, end, other),))
            if len(call.args) == 1 and not isinstance(call.args[0], ast.Starred | ast.GeneratorExp):
                yield piece.replace(place, piece.source(call.args[0]))
