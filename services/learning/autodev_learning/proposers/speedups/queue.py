"""Take from the front of a deque: `items.pop(0)` moves all the other items."""

from collections.abc import Iterator
from functools import partial

import libcst as cst

from autodev_learning.proposers.effects import with_import
from autodev_learning.proposers.tree import Edit, Program, Replacement, Site, descendants, expression, mapped, source

NAME = "take from the front of a deque"
GAIN = 25.0

_ALLOWED = ("append", "extend", "pop", "clear", "remove", "count", "index")


def edits(program: Program) -> Iterator[Edit]:
    for name, definition in program.functions.items():
        for queue in _queues(definition):
            changed = mapped(definition, partial(_as_deque, name=queue))
            body = [changed if node is definition else node for node in program.module.body]
            module = with_import(program.module.with_changes(body=body), "collections")
            yield Edit(f"{name}: make `{queue}` a deque", Site(program.module, (), None, None), module)


def _queues(definition: cst.FunctionDef) -> list[str]:
    """The names bound to lists made here, popped at the front, and neither returned, sliced nor added to others."""
    popped = dict.fromkeys(
        source(node.func.value)
        for node in descendants(definition)
        if isinstance(node, cst.Call) and isinstance(node.func, cst.Attribute) and _pops_front(node)
    )
    return [name for name in popped if name.isidentifier() and _is_used_as_queue(definition, name)]


def _pops_front(call: cst.Call) -> bool:
    method = source(call.func).rpartition(".")[2]
    return method == "pop" and len(call.args) == 1 and source(call.args[0].value) == "0"


def _is_used_as_queue(definition: cst.FunctionDef, name: str) -> bool:
    bindings = [node for node in descendants(definition) if isinstance(node, cst.Assign) and _binds(node, name)]
    if not bindings or not all(_makes_list(node.value) for node in bindings):
        return False
    for node in descendants(definition):
        if isinstance(node, cst.Return | cst.Subscript | cst.BinaryOperation) and _is_about(node, name):
            return False
        if isinstance(node, cst.Attribute) and source(node.value) == name and node.attr.value not in _ALLOWED:
            return False
    return True


def _is_about(node: cst.Return | cst.Subscript | cst.BinaryOperation, name: str) -> bool:
    parts = [node.left, node.right] if isinstance(node, cst.BinaryOperation) else [node.value]
    return any(part is not None and source(part) == name for part in parts)


def _binds(node: cst.Assign, name: str) -> bool:
    return source(node.targets[0].target) == name


def _makes_list(value: cst.BaseExpression) -> bool:
    return isinstance(value, cst.List | cst.ListComp) or (isinstance(value, cst.Call) and source(value.func) == "list")


def _as_deque(node: cst.CSTNode, name: str) -> Replacement | None:
    if isinstance(node, cst.Assign) and _binds(node, name):
        return node.with_changes(value=expression(f"collections.deque({source(node.value)})"))
    if isinstance(node, cst.Call) and source(node.func) == f"{name}.pop" and _pops_front(node):
        return expression(f"{name}.popleft()")
    return None
