"""A list that is sorted again for each item."""

import ast
from collections.abc import Iterator
from itertools import pairwise

from autodev_learning.proposers.analysis.code import Change, Code, Function, names_bound_by
from autodev_learning.proposers.analysis.loops import blocks, loops_around
from autodev_learning.proposers.analysis.ownership import is_own_list
from autodev_learning.proposers.speedups import Edit, Speedup
from autodev_learning.proposers.speedups.membership import is_name


class Insertion(Speedup):
    """Insert each item where it belongs: sorting the list again goes through all the others.

         def f(xs):
             seen = []
        +    seen_in_order = True
             for x in xs:
        -        seen.append(x)
        -        seen.sort()
        +        seen_in_order = insert_in_order(seen, x, seen_in_order)
             return seen

    >>> f([3, 1, 2, 1.0, True]), f("hello"), f([2, float("nan"), 1, 0]), f([2, "a"]), f([[2], [1]]), f([])
    """

    name = "insert into the sorted list"
    gain = 15.0

    def edits(self, code: Code) -> Iterator[Edit]:
        for function, body in blocks(code):
            for append, sort in pairwise(body):
                name = _sorted_list(sort)
                item = _appended(append, name)
                if item is None or not loops_around(code, sort) or not is_own_list(code, function, name):
                    continue
                start = _start(function, name)
                if start is None or not _is_changed_only_here(code, function, name, (append, sort)):
                    continue
                in_order = code.fresh(f"{name}_in_order")
                yield Edit(f"{function.name}: insert into sorted `{name}`",
                    _changes(
                        code, append, sort, start, f"{in_order} = insert_in_order({name}, {code.source(item)}, "
                        f"{in_order})", f"{in_order} = True",
                    ),
                    ["insertion"],
                )  # fmt: skip


def _changes(
    code: Code, append: ast.stmt, sort: ast.stmt, start: ast.stmt, inserting: str, starting: str
) -> list[Change]:
    return [code.after(start, starting), code.replace(append, inserting), code.without(sort)]


def _sorted_list(statement: ast.stmt) -> str:
    match statement:
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="sort"), args=[], keywords=[])):
            return name
    return ""


def _appended(statement: ast.stmt, name: str) -> ast.expr | None:
    match statement:
        case ast.Expr(
            value=ast.Call(func=ast.Attribute(value=ast.Name(id=owner), attr="append"), args=[item], keywords=[])
        ) if owner == name:
            return item
    return None


def _start(function: Function, name: str) -> ast.stmt | None:
    """Where the list is made, empty: the only place that binds it. None where a failed sort may be seen."""
    if any(isinstance(node, ast.Try) for node in ast.walk(function)):
        return None
    starts = [
        node
        for node in ast.walk(function)
        if isinstance(node, ast.Assign)
        and is_name(node.targets[0], name)
        and isinstance(node.value, ast.List)
        and not node.value.elts
    ]
    count = sum(each == name for node in ast.walk(function) for each in names_bound_by(node))
    return starts[0] if len(starts) == count == 1 else None


def _is_changed_only_here(code: Code, function: Function, name: str, here: tuple[ast.stmt, ast.stmt]) -> bool:
    """Whether nothing else puts anything into the list."""
    inside = {id(node) for statement in here for node in ast.walk(statement)}
    for node in ast.walk(function):
        if id(node) in inside:
            continue
        if isinstance(node, ast.Attribute) and is_name(node.value, name) and node.attr not in ("pop", "index", "count"):
            return False
        if isinstance(node, ast.Subscript) and is_name(node.value, name) and not isinstance(node.ctx, ast.Load):
            return False
        if isinstance(node, ast.AugAssign) and is_name(node.target, name):
            return False
    return True
