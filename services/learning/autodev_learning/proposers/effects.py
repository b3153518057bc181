"""What a piece of a program reads, binds and changes, as far as its text tells."""

import builtins
from collections.abc import Iterator

import libcst as cst

from autodev_learning.proposers.tree import Program, Site, descendants, source, statement

MUTATING_METHODS = frozenset(
    {
        "add",
        "append",
        "appendleft",
        "clear",
        "discard",
        "extend",
        "extendleft",
        "insert",
        "pop",
        "popitem",
        "popleft",
        "remove",
        "reverse",
        "rotate",
        "send",
        "setdefault",
        "sort",
        "update",
        "write",
    }
)
PURE_BUILTINS = frozenset(
    {
        "abs",
        "all",
        "any",
        "bool",
        "chr",
        "dict",
        "divmod",
        "enumerate",
        "filter",
        "float",
        "frozenset",
        "int",
        "isinstance",
        "len",
        "list",
        "map",
        "max",
        "min",
        "ord",
        "pow",
        "range",
        "repr",
        "reversed",
        "round",
        "set",
        "sorted",
        "str",
        "sum",
        "tuple",
        "zip",
    }
)
Loop = cst.For | cst.While


def names_read(node: cst.CSTNode) -> set[str]:
    """Every name in the node, attributes and keywords aside."""
    read: set[str] = set()
    for inner in descendants(node):
        if isinstance(inner, cst.Name):
            read.add(inner.value)
        if isinstance(inner, cst.Attribute):
            read.discard(inner.attr.value)
    # A name may be both an attribute's and a variable's.
    attributes = (inner for inner in descendants(node) if isinstance(inner, cst.Attribute))
    return read | {inner.value.value for inner in attributes if isinstance(inner.value, cst.Name)}


def names_bound(node: cst.CSTNode) -> set[str]:
    """The names that the node assigns, loops over, deletes or defines."""
    bound: set[str] = set()
    for inner in descendants(node):
        if isinstance(inner, cst.AssignTarget | cst.AugAssign | cst.AnnAssign | cst.For | cst.CompFor | cst.NamedExpr):
            bound |= {name.value for name in _targets(inner.target)}
        elif isinstance(inner, cst.AsName):
            bound |= {name.value for name in _targets(inner.name)}
        elif isinstance(inner, cst.FunctionDef | cst.ClassDef | cst.Param):
            bound.add(inner.name.value)
        elif isinstance(inner, cst.Del):
            bound |= names_read(inner)
    return bound


def _targets(target: cst.CSTNode) -> Iterator[cst.Name]:
    if isinstance(target, cst.Name):
        yield target
    elif isinstance(target, cst.Tuple | cst.List):
        for element in target.elements:
            yield from _targets(element.value)


def names_changed(node: cst.CSTNode, harmless: frozenset[str] = PURE_BUILTINS) -> set[str]:
    """The names whose values may change within the node: bound, or changed in place.

    A function that is not among the `harmless` ones may change what it is given.
    """
    changed = names_bound(node)
    for inner in descendants(node):
        changed |= _changed_by(inner)
        if isinstance(inner, cst.Call) and isinstance(inner.func, cst.Name) and inner.func.value not in harmless:
            changed |= {argument.value.value for argument in inner.args if isinstance(argument.value, cst.Name)}
    return changed


def _owner(node: cst.CSTNode) -> set[str]:
    while isinstance(node, cst.Subscript | cst.Attribute | cst.Call):
        node = node.func if isinstance(node, cst.Call) else node.value
    return {node.value} if isinstance(node, cst.Name) else set()


def harmless_functions(program: Program) -> frozenset[str]:
    """The functions, of Python's and the program's own, that change nothing they are given."""
    return PURE_BUILTINS | {name for name, definition in program.functions.items() if is_pure(definition, program)}


def is_pure(definition: cst.FunctionDef, program: Program) -> bool:
    """Whether the function, by its text, only computes: it changes nothing from outside and calls only what does so."""
    return _is_pure(definition, program, frozenset())


def _is_pure(definition: cst.FunctionDef, program: Program, asked: frozenset[str]) -> bool:
    name = definition.name.value
    if name in asked:
        return True
    params = {param.name.value for param in definition.params.params}
    local = names_bound(definition.body) | params
    asked = asked | {name}
    for inner in descendants(definition.body):
        if isinstance(inner, cst.Global | cst.Nonlocal | cst.Yield | cst.Await | cst.Import | cst.ImportFrom):
            return False
        if isinstance(inner, cst.Call) and not _call_is_pure(inner, program, asked, local - params):
            return False
    return not (names_changed(definition.body) - names_bound(definition.body) - local) and not (
        params & _changed_in_place(definition.body)
    )


def _changed_in_place(body: cst.CSTNode) -> set[str]:
    return {name for inner in descendants(body) for name in _changed_by(inner)}


def _changed_by(node: cst.CSTNode) -> set[str]:
    """The name whose value a call of a mutating method, or an assignment to an element or attribute, changes."""
    if isinstance(node, cst.Call) and isinstance(node.func, cst.Attribute):
        return _owner(node.func.value) if node.func.attr.value in MUTATING_METHODS else set()
    if isinstance(node, cst.AssignTarget | cst.AugAssign) and isinstance(node.target, cst.Subscript | cst.Attribute):
        return _owner(node.target)
    return set()


def _call_is_pure(call: cst.Call, program: Program, asked: frozenset[str], local: set[str]) -> bool:
    if isinstance(call.func, cst.Name):
        definition = program.functions.get(call.func.value)
        if definition is not None:
            return _is_pure(definition, program, asked)
        return call.func.value in PURE_BUILTINS or _is_exception(call.func.value)
    if isinstance(call.func, cst.Attribute):
        if call.func.attr.value in MUTATING_METHODS:
            return bool(_owner(call.func.value) & local)
        owner = source(call.func.value)
        return owner == "math" or owner not in _modules(program)
    return False


def _is_exception(name: str) -> bool:
    kind = getattr(builtins, name, None)
    return isinstance(kind, type) and issubclass(kind, BaseException)


def _modules(program: Program) -> set[str]:
    imported: set[str] = set()
    for node in descendants(program.module):
        if isinstance(node, cst.ImportAlias):
            imported.add(source(node.asname.name if node.asname else node.name).partition(".")[0])
    return imported


def outermost_loops(program: Program) -> Iterator[tuple[Site, Loop]]:
    """The loops in a sequence of statements that no other loop of their function is around."""
    for site in program.sites:
        if not isinstance(site.node, Loop) or site.index is None:
            continue
        if not any(isinstance(around.node, Loop) for around in _in_function(site)):
            yield site, site.node


def _in_function(site: Site) -> Iterator[Site]:
    for around in site.ancestors:
        if isinstance(around.node, cst.FunctionDef):
            return
        yield around


def fresh_name(program: Program, base: str) -> str:
    """A name that the program does not use, beginning with `base`."""
    used = {node.value for node in descendants(program.module) if isinstance(node, cst.Name)}
    name, number = base, 1
    while name in used or hasattr(builtins, name):
        number += 1
        name = f"{base}_{number}"
    return name


def with_import(module: cst.Module, name: str) -> cst.Module:
    """The module with `import name` after its docstring and `__future__` imports, unless it is there."""
    line = f"import {name}"
    if any(source(node) == line for node in module.body):
        return module
    place = 0
    for index, node in enumerate(module.body):
        text = source(node)
        is_docstring = index == 0 and isinstance(node, cst.SimpleStatementLine) and text[:1] in "\"'"
        if is_docstring or text.startswith("from __future__ "):
            place = index + 1
    after = list(module.body[place:])
    if after and isinstance(after[0], cst.FunctionDef | cst.ClassDef) and not after[0].leading_lines:
        after[0] = after[0].with_changes(leading_lines=[cst.EmptyLine(indent=False)] * 2)
    return module.with_changes(body=[*module.body[:place], statement(line), *after])
