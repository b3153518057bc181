"""The front of a list."""

import ast
from collections.abc import Iterator

from autodev_learning.proposers.analysis.code import Change, Code, Function
from autodev_learning.proposers.analysis.effects import is_plain
from autodev_learning.proposers.analysis.loops import loops_around
from autodev_learning.proposers.analysis.ownership import is_own_list
from autodev_learning.proposers.speedups import Edit, Speedup
from autodev_learning.proposers.speedups.membership import is_name

_KEPT = frozenset({"append", "extend", "clear", "remove", "count", "index", "reverse"})
_READERS = frozenset({"len", "sum", "min", "max", "sorted", "list", "set", "tuple"})


class Queue(Speedup):
    """Take from, and put in, the front of a deque: in a list all the other items move.

        +from collections import deque
        +
        +
         def f(xs):
        -    waiting = list(xs)
        +    waiting = deque(list(xs))
             order = []
             while waiting:
        -        order.append(waiting.pop(0))
        +        order.append(waiting.popleft())
             return order

    >>> f([1, 2, 3]), f(""), f(iter([1])), f(None)
    """

    name = "work at the front of a deque"
    gain = 25.0

    def edits(self, code: Code) -> Iterator[Edit]:
        for function in code.all(ast.FunctionDef):
            if not is_plain(function):
                continue
            for name in _fronts(code, function):
                changes = _changes(code, function, name)
                if changes is not None and is_own_list(code, function, name):
                    yield Edit(
                        f"{function.name}: make `{name}` a deque",
                        changes,
                        ["deque"],
                    )


def _fronts(code: Code, function: Function) -> list[str]:
    """The lists of which the first is taken, or before which something is put, in a loop."""
    return list(
        dict.fromkeys(
            node.func.value.id
            for node in code.all(ast.Call)
            if code.function_around(node) is function
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
            and _at_front(node)
            and loops_around(code, node)
        )
    )


def _at_front(call: ast.Call) -> bool:
    first = call.args[0] if call.args else None
    is_front = isinstance(first, ast.Constant) and type(first.value) is int and first.value == 0
    assert isinstance(call.func, ast.Attribute)
    return is_front and not call.keywords and (call.func.attr, len(call.args)) in (("pop", 1), ("insert", 2))


def _changes(code: Code, function: Function, name: str) -> list[Change] | None:
    """What makes a list a deque; None where it is used as only a list can be."""
    changes: list[Change] = []
    for node in ast.walk(function):
        if not is_name(node, name):
            continue
        parent = code.parent(node)
        match parent:
            case ast.Assign(value=value):
                changes.append(code.replace(value, f"deque({code.source(value)})"))
            case ast.Attribute():
                call = code.parent(parent)
                change = _of_method(code, call, parent, name) if isinstance(call, ast.Call) else None
                if change is None:
                    return None
                changes += change
            case ast.Return():
                changes.append(code.replace(node, f"list({name})"))
            case ast.Call(func=ast.Name(id=reader), args=[_]) if reader in _READERS:
                continue
            case ast.Call(func=ast.Attribute(attr="join")):
                continue
            case ast.While() | ast.If() | ast.IfExp() | ast.UnaryOp(op=ast.Not()):
                continue
            case ast.BoolOp():
                continue
            case ast.Compare(ops=[ast.In() | ast.NotIn()], comparators=[items]) if items is node:
                continue
            case ast.Subscript(slice=ast.Constant(value=0 | -1), ctx=ast.Load()):
                continue
            case ast.Subscript(slice=ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=1)), ctx=ast.Load()):
                continue
            case _:
                return None
    return changes


def _of_method(code: Code, call: ast.Call, method: ast.Attribute, name: str) -> list[Change] | None:
    if _at_front(call) and method.attr == "pop":
        return [code.replace(call, f"{name}.popleft()")]
    if _at_front(call):
        return [code.replace(call, f"{name}.appendleft({code.source(call.args[1])})")]
    if method.attr == "pop" and not call.args and not call.keywords:
        return []
    return [] if method.attr in _KEPT else None
