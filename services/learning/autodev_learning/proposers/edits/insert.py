"""A statement that is missing."""

import ast
from collections.abc import Iterator
from math import isqrt

from autodev_learning.proposers.edits import Operator
from autodev_learning.proposers.pieces import Edit, Piece, Place, Scope

_SIMPLE = (ast.Assign, ast.AugAssign, ast.Expr, ast.Return, ast.Break, ast.Continue)
_MOST_COPIES = 8_000
"""Statements `name = other` in all places together: where there would be more, each place has its nearest names."""


class Insert(Operator):
    """Insert a statement that is missing: one of the function's own, or a step of one of its variables.

     def f(xs):
         i = 0
         while i < len(xs):
             print(xs[i])
    +        i += 1
    """

    name = "insert a statement"
    prior = 2.0

    def edits(self, piece: Piece) -> Iterator[Edit]:
        for place in piece.statements:
            if place.scope is None:
                continue
            node = place.node
            assert isinstance(node, ast.stmt)
            indent = piece.indent(node)
            is_last = node is place.siblings[-1] and not isinstance(node, ast.Return | ast.Break | ast.Continue)
            for line in dict.fromkeys(_lines(piece, place, place.scope)):
                yield piece.before(place, f"{indent}{line}\n", f"insert `{line}`")
                if is_last:
                    yield piece.after(place, f"{indent}{line}\n", f"end with `{line}`")


def _lines(piece: Piece, place: Place, scope: Scope) -> Iterator[str]:
    for other in piece.statements:
        if other.scope is scope and isinstance(other.node, _SIMPLE) and other.node is not place.node:
            text = piece.source(other.node)
            if "\n" not in text:
                yield text
    if place.loops:
        yield from ("break", "continue")
        for name in scope.locals:
            yield from (f"{name} += 1", f"{name} -= 1")
    names = piece.nearest_names(place, scope, isqrt(_MOST_COPIES // len(piece.statements)))
    for name in names:
        for other_name in names:
            if name != other_name and name not in scope.params:
                yield f"{name} = {other_name}"
    for call in _calls(piece, scope):
        for name in scope.names:
            yield call.format(name)


def _calls(piece: Piece, scope: Scope) -> Iterator[str]:
    """Lists that are appended to and sets that are added to or taken from, with place for another item."""
    forms: dict[str, None] = {}
    for place, node in piece.of(ast.Assign):
        if place.scope is scope and isinstance(node.targets[0], ast.Name):
            value = piece.source(node.value).replace(" ", "")
            if value in ("[]", "list()"):
                forms[f"{node.targets[0].id}.append({{}})"] = None
            elif value == "set()":
                forms[f"{node.targets[0].id}.add({{}})"] = None
                forms[f"{node.targets[0].id}.discard({{}})"] = None
    yield from forms
