"""An answer before anything else is done."""

import ast
from collections.abc import Iterator

from autodev_learning.proposers.edits import Operator
from autodev_learning.proposers.pieces import Edit, Piece, Scope

_ANSWERS = ("0", "[]", "False", "None", "()", "True", "''", "{}", "1", "-1", "[[]]")


class Guard(Operator):
    """Answer for the empty or smallest input before anything else is done: a missing guard or base case.

     def f(xs):
    +    if not xs:
    +        return None
         return xs[0]
    """

    name = "add a guard or a base case"
    prior = 3.0

    def edits(self, piece: Piece) -> Iterator[Edit]:
        for place in piece.statements:
            if place.scope is None or place.parent is None or place.parent.node is not place.scope.node:
                continue
            node = place.node
            first = next(each for each in place.siblings if not _is_text(each))
            if node is not first:
                continue
            assert isinstance(node, ast.stmt)
            indent, step = piece.indent(node), piece.unit
            for test, answer in _guards(piece, place.scope):
                text = f"{indent}if {test}:\n{indent}{step}return {answer}\n"
                yield piece.before(place, text, f"return `{answer}` if `{test}`")


def _guards(piece: Piece, scope: Scope) -> Iterator[tuple[str, str]]:
    answers = [*_ANSWERS, *_returned(piece, scope)]
    params = [param for param in scope.params if param not in ("self", "cls")]
    for param in params:
        for answer in dict.fromkeys((*answers, *params)):
            yield f"not {param}", answer
    for param in params:
        for answer in dict.fromkeys((*answers, *params)):
            for test in (f"len({param}) <= 1", f"{param} <= 0", f"{param} == 1", f"{param} < 0", f"{param} <= 1"):
                yield test, answer
        for group in params:
            if param != group:
                for answer in ("0", "False", "None", f"len({group})"):
                    yield f"{param} not in {group}", answer
                for answer in dict.fromkeys((*answers, *params)):
                    yield f"{param} == {group}", answer


def _returned(piece: Piece, scope: Scope) -> Iterator[str]:
    for place, node in piece.of(ast.Return):
        if place.scope is not scope or node.value is None or len(piece.source(node.value)) >= 40:
            continue
        if not any(isinstance(inner, ast.Name) and inner.id in scope.locals for inner in ast.walk(node.value)):
            yield piece.source(node.value)


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
