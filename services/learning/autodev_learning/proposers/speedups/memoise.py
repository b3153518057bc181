"""Remember what a pure function gave: a recursion that asks itself the same again, a helper called in a loop."""

from collections.abc import Iterator

import libcst as cst

from autodev_learning.proposers.effects import Loop, is_pure, with_import
from autodev_learning.proposers.tree import Edit, Program, Site, descendants, source

NAME = "remember a function's results"
GAIN = 100.0


def edits(program: Program) -> Iterator[Edit]:
    for name, definition in program.functions.items():
        if definition.decorators or not definition.params.params or not _is_asked_often(name, program):
            continue
        if not is_pure(definition, program) or _gives_containers(definition):
            continue
        decorator = cst.Decorator(cst.parse_expression("functools.lru_cache(maxsize=None)"))
        cached = definition.with_changes(decorators=[decorator])
        body = [cached if node is definition else node for node in program.module.body]
        changed = with_import(program.module.with_changes(body=body), "functools")
        yield Edit(f"{name}: remember its results (functools.lru_cache)", Site(program.module, (), None, None), changed)


def _is_asked_often(name: str, program: Program) -> bool:
    own = sum(1 for node in descendants(program.functions[name].body) if _calls(node, name))
    return own > 1 or any(
        any(_calls(inner, name) for inner in descendants(loop))
        for loop in descendants(program.module)
        if isinstance(loop, Loop)
    )


def _calls(node: cst.CSTNode, name: str) -> bool:
    return isinstance(node, cst.Call) and source(node.func) == name


def _gives_containers(definition: cst.FunctionDef) -> bool:
    """Whether it visibly returns a list, dict or set: a caller may change it, and with it the remembered one."""
    made = {
        inner.targets[0].target.value
        for inner in descendants(definition.body)
        if isinstance(inner, cst.Assign) and isinstance(inner.targets[0].target, cst.Name) and _is_mutable(inner.value)
    }
    return any(
        _is_mutable(inner.value) or (isinstance(inner.value, cst.Name) and inner.value.value in made)
        for inner in descendants(definition.body)
        if isinstance(inner, cst.Return) and inner.value is not None
    )


def _is_mutable(value: cst.BaseExpression) -> bool:
    if isinstance(value, cst.Call):
        return source(value.func) in ("list", "dict", "set", "sorted")
    return isinstance(value, cst.List | cst.Dict | cst.Set | cst.ListComp | cst.DictComp | cst.SetComp)
