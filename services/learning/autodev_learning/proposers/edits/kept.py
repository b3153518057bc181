"""What a method that changes in place gives."""

import ast
from collections.abc import Iterator

from autodev_learning.proposers.edits import Operator
from autodev_learning.proposers.pieces import Edit, Piece

_IN_PLACE = ("append", "add", "extend", "insert", "remove", "sort", "reverse", "update", "pop", "discard", "clear")


class Kept(Operator):
    """Do not keep the None of a method that changes in place; or keep what a method gives that changes nothing.

     def f(xs, x):
    -    xs = xs.append(x)
    +    xs.append(x)
         return xs
    """

    name = "keep or drop a result"
    prior = 6.0

    def edits(self, piece: Piece) -> Iterator[Edit]:
        for place in piece.statements:
            node = place.node
            if not isinstance(node, ast.Assign | ast.AugAssign | ast.Return | ast.Expr) or node.value is None:
                continue
            indent, value = piece.indent(node), node.value
            if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute):
                owner, call, method = piece.source(value.func.value), piece.source(value), value.func.attr
                if isinstance(node, ast.Expr):
                    yield piece.rewrite(place, f"{indent}{owner} = {call}\n", f"keep `{call}`")
                    if method in _IN_PLACE and len(value.args) == 1:
                        given = piece.source(value.args[0])
                        yield piece.rewrite(place, f"{indent}{owner} = {given}\n", f"`{owner} = {given}`")
                elif method in _IN_PLACE:
                    after = f"{indent}return {owner}\n" if isinstance(node, ast.Return) else ""
                    yield piece.rewrite(place, f"{indent}{call}\n{after}", f"`{call}` without its result")
                if method in ("append", "add") and len(value.args) == 1 and isinstance(node, ast.Assign | ast.Return):
                    item = piece.source(value.args[0])
                    head = piece.text[piece.span(node)[0] : piece.span(value)[0]]
                    for sum_ in (f"{owner} + [{item}]", f"{owner} + ({item},)"):
                        yield piece.rewrite(place, f"{indent}{head}{sum_}\n", f"`{head}{sum_}`")
            if isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Add):
                owner, item = piece.source(node.target), piece.source(value)
                yield piece.rewrite(place, f"{indent}{owner}.append({item})\n", f"append `{item}`")
                yield piece.rewrite(place, f"{indent}{owner} = {item}\n", f"`{owner} = {item}`")
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                owner, item = piece.source(node.targets[0]), piece.source(value)
                yield piece.rewrite(place, f"{indent}{owner} += {item}\n", f"`{owner} += {item}`")
                if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Add):
                    for target, other in ((value.left, value.right), (value.right, value.left)):
                        if isinstance(target, ast.Name):
                            line = f"{target.id}.append({piece.source(other)})"
                            yield piece.rewrite(place, f"{indent}{line}\n", f"`{line}`")
