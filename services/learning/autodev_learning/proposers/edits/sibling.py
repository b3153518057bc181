"""A function like another one of the program."""

import ast
from collections.abc import Iterator

from autodev_learning.lines import lines_of
from autodev_learning.proposers.edits import Operator
from autodev_learning.proposers.pieces import Edit, Piece, Scope


class Sibling(Operator):
    """Do what another function of the program does that takes as many arguments.

     def f(xs):
    -    return
    +    return len(xs)
    """

    name = "do what a sibling does"
    prior = 1.5

    def edits(self, piece: Piece) -> Iterator[Edit]:
        for scope in dict.fromkeys(place.scope for place in piece.places):
            if scope is None or scope.node not in piece.tree.body:
                continue
            for name, source in piece.around.sources.items():
                if name != scope.name and len(piece.around.functions.get(name, ())) == len(scope.params):
                    edit = _taken(piece, scope, name, source)
                    if edit:
                        yield edit


def _taken(piece: Piece, scope: Scope, name: str, source: str) -> Edit | None:
    tree = ast.parse(source)
    definition = tree.body[0]
    if not isinstance(definition, ast.FunctionDef):
        return None
    renamed = {arg.arg: mine for arg, mine in zip(definition.args.args, scope.params, strict=False)}
    for node in ast.walk(definition):
        if isinstance(node, ast.Name) and node.id in renamed:
            node.id = renamed[node.id]
        elif isinstance(node, ast.Name) and node.id == name:
            node.id = scope.name
    body = [
        node for node in definition.body if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
    ]
    indent = piece.indent(scope.node.body[0])
    text = "".join(indent + line for node in body for line in lines_of(f"{ast.unparse(node)}\n"))
    start, end = piece.rows(scope.node.body[0])[0], piece.rows(scope.node.body[-1])[1]
    return Edit(f"{scope.name}: do what `{name}` does", ((start, end, text),))
