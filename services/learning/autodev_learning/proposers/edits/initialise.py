"""A name that is bound nowhere."""

import ast
import builtins
from collections.abc import Iterator

from autodev_learning.proposers.edits import Operator
from autodev_learning.proposers.pieces import Edit, Piece, Scope

_STARTS = ("0", "[]", "()", "''", "{}", "set()", "None", "True", "False", "1")
_MODULES = ("math", "bisect", "heapq", "collections", "itertools", "functools", "operator", "re", "string", "copy")


class Initialise(Operator):
    """Bind a name that is read but was never bound, import it, or read the one that was meant, everywhere.

     def f(xs):
    +    total = 0
         for x in xs:
             total += x
         return total
    """

    name = "bind an unbound name"
    prior = 8.0

    def edits(self, piece: Piece) -> Iterator[Edit]:
        for place in piece.statements:
            scope = place.scope
            if scope is None or place.parent is None or place.parent.node is not scope.node:
                continue
            node = place.node
            assert isinstance(node, ast.stmt)
            # Before the first statement, and before each loop at the top: a counter may have to start anew.
            is_first = node is next((each for each in scope.node.body if not _is_text(each)), None)
            if not is_first and not isinstance(node, ast.For | ast.While):
                continue
            for name in suspicious(piece, scope):
                for start in _STARTS:
                    line = f"{piece.indent(node)}{name} = {start}\n"
                    yield piece.before(place, line, f"start with `{name} = {start}`")
        for scope in dict.fromkeys(place.scope for place in piece.places):
            if scope is not None:
                yield from self._renamed(piece, scope)

    def _renamed(self, piece: Piece, scope: Scope) -> Iterator[Edit]:
        for name in unbound(piece, scope):
            found = [(place, node) for place, node in piece.of(ast.Name) if place.scope is scope and node.id == name]
            for other in (*scope.names, *piece.around.functions, *piece.around.names, *dir(builtins)[-70:]):
                if other != name and (other in scope.names or _near(other, name)):
                    splices = tuple((*piece.span(node), other) for _, node in found)
                    yield Edit(f"{scope.name}: `{other}` for each `{name}`", splices)
            # A parameter nobody reads may be what the name means.
            for argument in (*scope.node.args.posonlyargs, *scope.node.args.args):
                start = piece.span(argument)[0]
                if not any(isinstance(node, ast.Name) and node.id == argument.arg for _, node in piece.of(ast.Name)):
                    yield Edit(
                        f"{scope.name}: call the parameter `{argument.arg}` `{name}`",
                        ((start, start + len(argument.arg), name),),
                    )
            if name in _MODULES:
                first = scope.node.body[0]
                start = piece.rows(first)[0]
                yield Edit(f"{scope.name}: import `{name}`", ((start, start, f"{piece.indent(first)}import {name}\n"),))


def suspicious(piece: Piece, scope: Scope) -> list[str]:
    """Names that nothing binds, and names that only a step (`n += 1`) or a later line binds."""
    stepped = [
        node.target.id
        for place, node in piece.of(ast.AugAssign)
        if place.scope is scope and isinstance(node.target, ast.Name)
    ]
    local = [name for name in scope.locals if not _is_loop_variable(scope, name)]
    return list(dict.fromkeys((*unbound(piece, scope), *stepped, *local)))


def unbound(piece: Piece, scope: Scope) -> list[str]:
    """The names that a function reads and that nothing binds."""
    bound = {*dir(builtins), *piece.around.functions, *piece.around.names, *scope.names, scope.name}
    for inner in ast.walk(scope.node):
        if isinstance(inner, ast.arg):
            bound.add(inner.arg)
        elif isinstance(inner, ast.FunctionDef | ast.ClassDef):
            bound.add(inner.name)
        elif isinstance(inner, ast.alias):
            bound.add((inner.asname or inner.name).partition(".")[0])
        elif isinstance(inner, ast.ExceptHandler) and inner.name:
            bound.add(inner.name)
    read = [inner.id for inner in ast.walk(scope.node) if isinstance(inner, ast.Name)]
    return [name for name in dict.fromkeys(read) if name not in bound]


def _is_loop_variable(scope: Scope, name: str) -> bool:
    return any(
        isinstance(node, ast.For) and isinstance(node.target, ast.Name) and node.target.id == name
        for node in ast.walk(scope.node)
    )


def _near(one: str, other: str) -> bool:
    return one.lower() == other.lower() or (len(one) > 3 and (one in other or other in one))


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
