"""A list of which the least is taken."""

import ast
from collections.abc import Iterator
from itertools import pairwise

from autodev_learning.proposers.analysis.code import Change, Code, Function
from autodev_learning.proposers.analysis.loops import blocks, loops_around
from autodev_learning.proposers.analysis.ownership import is_own_list
from autodev_learning.proposers.speedups import Edit, Speedup
from autodev_learning.proposers.speedups.membership import is_name


class LeastOfHeap(Speedup):
    """Take the least out of a heap: looking for it, and taking it out of a list, goes through all the others.

         def f(xs):
        -    waiting = list(xs)
        +    waiting = LeastFirst(list(xs))
             cost = 0
             while len(waiting) > 1:
        -        first = min(waiting)
        -        waiting.remove(first)
        +        first = waiting.take()
                 cost = cost + first
                 waiting.append(first * 2 + 5)
                 if cost > 90:
                     return cost
             return cost

    >>> f([3, 1, 2]), f([]), f([True, 1, 1.0, 2]), f([1.0, 1, True]), f([3, float("nan"), 1]), f("ab"), f([[1], [2]])
    """

    name = "take the least out of a heap"
    gain = 28.0

    def edits(self, code: Code) -> Iterator[Edit]:
        for function in code.all(ast.FunctionDef):
            for name, taken in _taken(code, function).items():
                start = _start_of_heap(code, function, name, taken)
                if start is None or not is_own_list(code, function, name) or not loops_around(code, taken[0][0]):
                    continue
                yield Edit(
                    f"{function.name}: take the least of `{name}` out of a heap",
                    _changes(code, start, taken, name),
                    ["least_first"],
                )


Taken = list[tuple[ast.Assign, ast.stmt]]
"""Where the least is looked for, and taken out right after."""


def _taken(code: Code, function: Function) -> dict[str, Taken]:
    found: dict[str, Taken] = {}
    for owner, body in blocks(code):
        for least, remove in pairwise(body):
            name = _least_of(code, least)
            if owner is function and name and isinstance(least, ast.Assign) and _removes(remove, name, least):
                found.setdefault(name, []).append((least, remove))
    return found


def _changes(code: Code, start: ast.Assign, taken: Taken, name: str) -> list[Change]:
    return [
        code.replace(start.value, f"LeastFirst({code.source(start.value)})"),
        *(code.replace(least.value, f"{name}.take()") for least, _ in taken),
        *(code.without(remove) for _, remove in taken),
    ]


def _least_of(code: Code, statement: ast.stmt) -> str:
    match statement:
        case ast.Assign(
            targets=[ast.Name()], value=ast.Call(func=ast.Name(id="min"), args=[ast.Name(id=name)], keywords=[])
        ) if code.is_builtin("min"):
            return name
    return ""


def _removes(statement: ast.stmt, name: str, least: ast.Assign) -> bool:
    match statement:
        case ast.Expr(
            value=ast.Call(
                func=ast.Attribute(value=ast.Name(id=owner), attr="remove"), args=[ast.Name(id=taken)], keywords=[]
            )
        ):
            return owner == name and is_name(least.targets[0], taken)
    return False


def _start_of_heap(code: Code, function: Function, name: str, taken: Taken) -> ast.Assign | None:
    """Where the list is made, if it is only appended to, measured and taken from."""
    inside = {id(node) for pair in taken for statement in pair for node in ast.walk(statement)}
    starts: list[ast.Assign] = []
    for node in ast.walk(function):
        if not is_name(node, name) or id(node) in inside:
            continue
        parent = code.parent(node)
        match parent:
            case ast.Assign():
                starts.append(parent)
            case ast.Attribute(attr="append"):
                if not isinstance(code.parent(code.parent(parent) or parent), ast.Expr):
                    return None
            case ast.Call(func=ast.Name(id="len")) | ast.While() | ast.If() | ast.UnaryOp(op=ast.Not()):
                continue
            case _:
                return None
    return starts[0] if len(starts) == 1 and len(starts[0].targets) == 1 else None
