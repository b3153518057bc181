"""Another return value."""

import ast
from collections.abc import Iterator

from autodev_learning.proposers.edits import Operator
from autodev_learning.proposers.pieces import Edit, Piece, Scope


class Returned(Operator):
    """Return something else, or return where the end of the function was simply reached.

     def f(xs):
         n = 0
         for x in xs:
             n += x
    +    return n
    """

    name = "return another value"
    prior = 4.0

    def edits(self, piece: Piece) -> Iterator[Edit]:
        for place in piece.places:
            node = place.node
            if place.scope is None or not isinstance(node, ast.Return | ast.Expr):
                continue
            old = piece.source(node.value) if node.value else ""
            if isinstance(node, ast.Return):
                for other in candidates(piece, place.scope):
                    if other != old:
                        line = f"{piece.indent(node)}return {other}\n"
                        yield piece.rewrite(place, line, f"`return {other}` for `{piece.first_line(node)}`")
            elif not isinstance(node.value, ast.Constant):
                line = f"{piece.indent(node)}return {old}\n"
                yield piece.rewrite(place, line, f"return `{old}`")
        for place in piece.statements:
            scope, last = place.scope, place.node
            if scope is None or last is not scope.node.body[-1] or isinstance(last, ast.Return | ast.Raise):
                continue
            assert isinstance(last, ast.stmt)
            for other in candidates(piece, scope):
                yield piece.after(place, f"{piece.indent(last)}return {other}\n", f"end with `return {other}`")


def candidates(piece: Piece, scope: Scope) -> Iterator[str]:
    """What a function might return, likeliest first."""
    values = dict.fromkeys(scope.names)
    values.update(dict.fromkeys(f"len({param})" for param in scope.params))
    values.update(dict.fromkeys(("True", "False", "0", "[]", "()", "None", "-1", "1")))
    for place, node in piece.of(ast.Return):
        if place.scope is scope and node.value is not None and len(piece.source(node.value)) <= 60:
            values.setdefault(piece.source(node.value))
    for name in scope.locals:
        values.update(dict.fromkeys((f"{name} + 1", f"{name} - 1", f"{name} == 1", f"{name} > 0", f"{name} == 0")))
        values.update(dict.fromkeys((f"list({name})", f"tuple({name})", f"len({name})", f"[{name}]", f"not {name}")))
        values.update(dict.fromkeys((f"len({name}) == 1", f"len({name}) > 0", f"len({name}) == 0", f"{name}[-1]")))
    for param in scope.params:
        values.update(dict.fromkeys((f"[{param}]", f"list({param})", f"tuple({param})")))
    yield from values
