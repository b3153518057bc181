"""Which containers are a function's own: made by it, and known by one name only until it returns."""

import ast

from autodev_learning.proposers.analysis.code import Code, Function, names_bound_by
from autodev_learning.proposers.analysis.effects import CHANGING_METHODS, READING_METHODS, makes_once

MAKERS = frozenset({"list", "dict", "set", "sorted"})
COLLECTIONS = frozenset({"deque", "defaultdict", "Counter"})
# What gives a new value and keeps no hold of what it was given.
READERS = frozenset(
    [
        "abs",
        "all",
        "any",
        "bool",
        "dict",
        "frozenset",
        "len",
        "list",
        "max",
        "min",
        "print",
        "repr",
        "set",
        "sorted",
        "str",
        "sum",
        "tuple",
    ]
)
LAZY = frozenset({"enumerate", "reversed", "zip", "map", "filter"})
_AT_ONCE = frozenset({"sorted", "min", "max", "sum", "any", "all", "list", "set", "tuple", "dict"})


def is_own(code: Code, function: Function, name: str) -> bool:
    """Whether the variable holds only containers that the function made, which nothing else holds while it runs."""
    if name in {each.arg for each in ast.walk(function.args) if isinstance(each, ast.arg)}:
        return False
    seen = False
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and node.id == name:
            if isinstance(node.ctx, ast.Load):
                if not only_reads(code, node) or _is_read_later(code, node):
                    return False
            elif not _binds_new(code, node):
                return False
            else:
                seen = True
        elif name in names_bound_by(node):
            return False
    return seen


def _binds_new(code: Code, node: ast.Name) -> bool:
    parent = code.parent(node)
    match parent:
        case ast.AugAssign():
            return True
        case ast.Assign(targets=[ast.Name()], value=value):
            return makes_new(code, value)
        case ast.AnnAssign(value=ast.expr() as value):
            return makes_new(code, value)
    return False


def makes_new(code: Code, value: ast.expr) -> bool:
    """Whether the expression makes a container that nothing else holds."""
    match value:
        case ast.List() | ast.Dict() | ast.Set() | ast.ListComp() | ast.DictComp() | ast.SetComp():
            return True
        case ast.Call(func=ast.Name(id="FastMembers" | "LeastFirst")):
            return True
        case ast.Call(func=ast.Name(id=maker)):
            return (maker in MAKERS and code.is_builtin(maker)) or (maker in COLLECTIONS and _is_imported(code, maker))
        case ast.Call(func=ast.Attribute(value=ast.Name(id=module), attr=maker)):
            return maker in COLLECTIONS and code.modules.get(module) == "collections"
        case ast.BinOp(op=ast.Add() | ast.Mult()):
            return makes_new(code, value.left) or makes_new(code, value.right)
    return False


def _is_imported(code: Code, name: str) -> bool:
    """Whether the name always means what `collections` calls so."""
    bindings = [node for node in ast.walk(code.tree) if name in names_bound_by(node)]
    return all(
        isinstance(node, ast.alias)
        and node.name == name
        and isinstance(line := code.parent(node), ast.ImportFrom)
        and line.module == "collections"
        for node in bindings
    )


def makes_list(code: Code, value: ast.expr) -> bool:
    match value:
        case ast.List() | ast.ListComp():
            return True
        case ast.Call(func=ast.Name(id="list" | "sorted" as maker)):
            return code.is_builtin(maker)
    return False


def only_reads(code: Code, node: ast.expr) -> bool:
    """Whether what stands around an expression takes nothing but values out of it, or changes it by its methods."""
    parent = code.parent(node)
    match parent:
        case ast.Attribute(attr=method):
            call = code.parent(parent)
            known = method in CHANGING_METHODS or method in READING_METHODS
            return isinstance(call, ast.Call) and call.func is parent and known
        case ast.Subscript(value=value):
            return value is node
        case ast.Compare() | ast.BinOp() | ast.UnaryOp() | ast.FormattedValue() | ast.AugAssign():
            return True
        case ast.Call(func=ast.Name()) if node in parent.args:
            return _reads(code, parent) or _is_iterated(code, parent)
        case ast.Call(func=ast.Attribute(attr="join" | "extend" | "update" | "union" | "issubset")):
            return node in parent.args
        case ast.For() | ast.comprehension():
            return parent.iter is node
        case ast.If() | ast.While() | ast.IfExp() | ast.Assert():
            return parent.test is node
        case ast.BoolOp():
            return only_tests(code, parent)
        case ast.Return():
            return True
        case ast.Tuple() | ast.List() | ast.Dict():
            return isinstance(code.parent(parent), ast.Return)
        case ast.Starred():
            return isinstance(code.parent(parent), ast.List | ast.Tuple | ast.Set)
    return False


def _reads(code: Code, call: ast.Call) -> bool:
    """Whether the call gives a new value and keeps no hold of its arguments."""
    match call:
        case ast.Call(func=ast.Name(id="FastMembers")):
            return True
        case ast.Call(func=ast.Name(id="max" | "min" | "sum" as reader), args=args):
            # Of several arguments it may give one.
            return code.is_builtin(reader) and len(args) == 1
        case ast.Call(func=ast.Name(id=reader)):
            return reader in READERS and code.is_builtin(reader)
    return False


def _is_iterated(code: Code, call: ast.Call) -> bool:
    """Whether what the call gives one by one is gone through at once."""
    if not isinstance(call.func, ast.Name) or call.func.id not in LAZY or not code.is_builtin(call.func.id):
        return False
    around = code.parent(call)
    if isinstance(around, ast.For | ast.comprehension):
        return around.iter is call
    return isinstance(around, ast.Call) and (_reads(code, around) or _is_iterated(code, around))


def _is_read_later(code: Code, node: ast.expr) -> bool:
    """Whether a lambda or a generator reads it, which may be run when it has changed."""
    for around in code.ancestors(node):
        if isinstance(around, ast.stmt):
            break
        if isinstance(around, ast.Lambda | ast.GeneratorExp) and not is_run_here(code, around):
            return True
    return False


def is_run_here(code: Code, lazy: ast.Lambda | ast.GeneratorExp) -> bool:
    """Whether a built-in runs it and is done with it."""
    parent = code.parent(lazy)
    if isinstance(parent, ast.keyword):
        match code.parent(parent):
            case ast.Call(func=ast.Name(id="max" | "min" | "sorted" as sorting)):
                return parent.arg == "key" and code.is_builtin(sorting)
            case ast.Call(func=ast.Attribute(attr="sort")):
                return parent.arg == "key"
        return False
    match parent:
        case ast.Call(func=ast.Name(id=name)):
            return (name in _AT_ONCE and code.is_builtin(name)) or name in _once_names(code)
        case ast.Call(func=ast.Attribute(attr="join" | "extend" | "update")):
            return True
    return False


def _once_names(code: Code) -> set[str]:
    return {
        target.id
        for node in code.all(ast.Assign)
        if makes_once(code, node.value)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def only_tests(code: Code, node: ast.expr) -> bool:
    """Whether only the truth of the expression counts."""
    parent = code.parent(node)
    match parent:
        case ast.If() | ast.While() | ast.IfExp() | ast.Assert():
            return parent.test is node
        case ast.comprehension():
            return node in parent.ifs
        case ast.UnaryOp(op=ast.Not()):
            return True
        case ast.BoolOp():
            return only_tests(code, parent)
    return False


def is_own_list(code: Code, function: Function, name: str) -> bool:
    """Whether the variable is the function's own, and always a list."""
    return is_own(code, function, name) and all(
        node.value is not None and makes_list(code, node.value)
        for node in ast.walk(function)
        if isinstance(node, ast.Assign | ast.AnnAssign) and name in names_bound_by(_target(node))
    )


def _target(binding: ast.Assign | ast.AnnAssign) -> ast.expr:
    return binding.targets[0] if isinstance(binding, ast.Assign) else binding.target


def is_only_read(code: Code, function: Function, name: str) -> bool:
    """Whether the function binds the variable once, and never changes, hands out or keeps elsewhere what it holds."""
    bindings = 0
    for node in ast.walk(function):
        if not isinstance(node, ast.Name) or node.id != name:
            continue
        if not isinstance(node.ctx, ast.Load):
            bindings += 1
        elif not reads_without_handing_out(code, node):
            return False
    return bindings == 1


def reads_without_handing_out(code: Code, node: ast.expr) -> bool:
    """Whether what stands around an expression neither changes its value nor gives it to anybody."""
    parent = code.parent(node)
    if isinstance(parent, ast.Attribute):
        return parent.attr in READING_METHODS and only_reads(code, node)
    if isinstance(parent, ast.Return | ast.Tuple | ast.List | ast.Dict):
        return False
    if isinstance(parent, ast.AugAssign):
        return parent.value is node
    if isinstance(parent, ast.Compare) and any(isinstance(op, ast.Is | ast.IsNot) for op in parent.ops):
        return False
    if isinstance(parent, ast.Subscript) and not isinstance(parent.ctx, ast.Load):
        return False
    return only_reads(code, node)
