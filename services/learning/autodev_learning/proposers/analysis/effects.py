"""What a piece of a program changes, and whether a function only computes."""

import ast
import builtins
import operator
from collections.abc import Iterator

from autodev_learning.proposers.analysis.code import Code, Function, names_bound_by

CHANGING_METHODS = frozenset(
    [
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
        "setdefault",
        "sort",
        "take",
        "update",
        "difference_update",
        "intersection_update",
        "symmetric_difference_update",
    ]
)
READING_METHODS = frozenset(
    [
        "bit_length",
        "capitalize",
        "casefold",
        "center",
        "copy",
        "count",
        "decode",
        "difference",
        "encode",
        "endswith",
        "expandtabs",
        "find",
        "format",
        "get",
        "index",
        "intersection",
        "isalnum",
        "isalpha",
        "isascii",
        "isdecimal",
        "isdigit",
        "isdisjoint",
        "isidentifier",
        "islower",
        "isnumeric",
        "isspace",
        "issubset",
        "issuperset",
        "istitle",
        "isupper",
        "items",
        "join",
        "keys",
        "ljust",
        "lower",
        "lstrip",
        "most_common",
        "partition",
        "removeprefix",
        "removesuffix",
        "replace",
        "rfind",
        "rindex",
        "rjust",
        "rpartition",
        "rsplit",
        "rstrip",
        "split",
        "splitlines",
        "startswith",
        "strip",
        "swapcase",
        "symmetric_difference",
        "title",
        "translate",
        "union",
        "upper",
        "values",
        "zfill",
        "having",
        "between",
        "less",
        "less_or_equal",
        "greater",
        "greater_or_equal",
    ]
)
PURE_BUILTINS = frozenset(
    [
        "abs",
        "all",
        "any",
        "ascii",
        "bin",
        "bool",
        "bytes",
        "chr",
        "complex",
        "dict",
        "divmod",
        "enumerate",
        "filter",
        "float",
        "format",
        "frozenset",
        "hash",
        "hex",
        "int",
        "isinstance",
        "issubclass",
        "len",
        "list",
        "map",
        "max",
        "min",
        "oct",
        "ord",
        "pow",
        "range",
        "repr",
        "reversed",
        "round",
        "set",
        "slice",
        "sorted",
        "str",
        "sum",
        "tuple",
        "type",
        "zip",
    ]
)
PURE_MODULES = frozenset({"math", "operator", "string"})
_IMPURE_OPERATORS = frozenset({"call", "delitem", "methodcaller", "setitem"})
IMMUTABLE = (ast.Constant, ast.JoinedStr)
SUPPORT = frozenset({"FastMembers", "FastCounts", "Once", "Partners", "RangeSums", "Ranks", "memory_for", "plain_key"})


def changes(code: Code, region: ast.AST) -> Iterator[str | None]:
    """The variables whose object may be changed in the region; None stands for any object at all."""
    for node in ast.walk(region):
        match node:
            case ast.Call():
                yield from _changed_by_call(code, node)
            case ast.AugAssign() | ast.Subscript() | ast.Attribute():
                yield from _changed_by_binding(code, node)
            case (
                ast.Yield() | ast.YieldFrom() | ast.Await() | ast.AsyncFor() | ast.AsyncWith() | ast.With()
            ):  # fmt: skip
                yield None
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef() | ast.Import() | ast.ImportFrom():
                yield None
            case ast.Global() | ast.Nonlocal() | ast.Match():
                yield None


def _changed_by_call(code: Code, call: ast.Call) -> Iterator[str | None]:
    match call.func:
        case ast.Name(id=name):
            if is_support(code, name) or name == "print" or call_is_pure(code, call):
                return
            yield None
        case ast.Attribute(value=owner, attr=method):
            if method in CHANGING_METHODS and isinstance(owner, ast.Name) and owner.id not in code.modules:
                yield owner.id if _asks_pure_functions(code, call, frozenset()) else None
            elif not call_is_pure(code, call):
                yield None
        case _:
            yield None


def call_is_pure(code: Code, call: ast.Call, asked: frozenset[str] = frozenset()) -> bool:
    """Whether a call only computes, as far as its function goes, and those that it is given to be called."""
    return _function_is_pure(code, call.func, asked) and _asks_pure_functions(code, call, asked)


def _function_is_pure(code: Code, function: ast.expr, asked: frozenset[str]) -> bool:
    match function:
        case ast.Name(id=name) if name in code.functions:
            return name in asked or is_pure(code, code.functions[name], asked)
        case ast.Name(id=name):
            return _is_once(code, name) or (code.is_builtin(name) and (name in PURE_BUILTINS or _is_exception(name)))
        case ast.Attribute(value=ast.Name(id=owner), attr=name) if owner in code.modules:
            return code.modules[owner] in PURE_MODULES and _is_pure_function_of(code.modules[owner], name)
        case ast.Attribute(attr=method):
            return method in READING_METHODS and not any(code.all(ast.ClassDef))
    return False


def _is_pure_function_of(module: str, name: str) -> bool:
    """Whether a function of a pure module is one that changes nothing; `operator` has others."""
    if module != "operator":
        return True
    in_place = name.startswith("i") and hasattr(operator, f"__{name}__") and hasattr(operator, f"__{name[1:]}__")
    return not name.startswith("_") and not in_place and name not in _IMPURE_OPERATORS


def _asks_pure_functions(code: Code, call: ast.Call, asked: frozenset[str]) -> bool:
    """Whether all functions that a call is given as values only compute.

    Those of the program that call what they are given do not count as pure at all.
    """
    given: list[ast.expr] = []
    match call.func:
        case ast.Name(id="filter" | "map"):
            given = call.args[:1]
        case ast.Name(id="max" | "min" | "sorted") | ast.Attribute(attr="sort"):
            given = [keyword.value for keyword in call.keywords if keyword.arg in ("key", None)]
    return all(_is_pure_value(code, each, asked) for each in given)


def _is_pure_value(code: Code, function: ast.expr, asked: frozenset[str]) -> bool:
    """Whether what is called by its value only computes. A lambda's body is judged where it stands."""
    match function:
        case ast.Lambda() | ast.Constant(value=None):
            return True
        case ast.Name(id=name):
            return (
                name not in ("filter", "map") and not _is_once(code, name) and _function_is_pure(code, function, asked)
            )
        case ast.Attribute():
            return _function_is_pure(code, function, asked)
        case ast.Call(func=ast.Attribute(attr="attrgetter" | "itemgetter")):
            return call_is_pure(code, function, asked)
    return False


def _is_once(code: Code, name: str) -> bool:
    """Whether the variable is a value that is computed once, by an earlier speed-up."""
    bound = [node for node in code.all(ast.Assign) if name in {n for t in node.targets for n in names_bound_by(t)}]
    return bool(bound) and all(makes_once(code, node.value) for node in bound)


def makes_once(code: Code, node: ast.expr) -> bool:
    """Whether the expression is the `Once()` of an earlier speed-up."""
    match node:
        case ast.Call(func=ast.Name(id="Once" as name)):
            return is_support(code, name)
    return False


def is_support(code: Code, name: str) -> bool:
    """Whether it is a piece of support that an earlier speed-up has put in, and calling it changes nothing."""
    return name in SUPPORT and name in code.support


def _is_exception(name: str) -> bool:
    kind = getattr(builtins, name, None)
    return isinstance(kind, type) and issubclass(kind, BaseException)


def _only_immutable(code: Code, node: ast.AugAssign, name: str) -> bool:
    """Whether the variable holds numbers or text wherever the function binds it: then `+=` changes nothing."""
    function = code.function_around(node)
    if function is None or name in {each.arg for each in ast.walk(function.args) if isinstance(each, ast.arg)}:
        return False
    for each in ast.walk(function):
        if isinstance(each, ast.Name) and each.id == name and isinstance(each.ctx, ast.Store):
            parent = code.parent(each)
            if isinstance(parent, ast.AugAssign):
                continue
            if not (isinstance(parent, ast.Assign) and isinstance(parent.value, IMMUTABLE)):
                return False
    return True


def is_pure(code: Code, function: Function, asked: frozenset[str] = frozenset()) -> bool:
    """Whether a function of the program only computes.

    It changes nothing that it did not make, reads nothing that changes, and calls nothing that does either.
    """
    from autodev_learning.proposers.analysis.ownership import is_own

    if function.decorator_list or not is_plain(function):
        return False
    asked = asked | {function.name}
    for node in ast.walk(function):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Attribute) and node.func.attr in CHANGING_METHODS:
                continue
            if not call_is_pure(code, node, asked):
                return False
        if (
            isinstance(node, ast.Name)
            and isinstance(node.ctx, ast.Load)
            and not _is_settled_name(code, function, node.id)
        ):
            return False
    changed = _changes_but_of_calls(code, function)
    return all(name is not None and is_own(code, function, name) for name in changed)


def _changes_but_of_calls(code: Code, function: Function) -> Iterator[str | None]:
    for statement in function.body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Call):
                if isinstance(node.func, ast.Attribute) and node.func.attr in CHANGING_METHODS:
                    yield from _changed_by_call(code, node)
            else:
                yield from _changed_by_binding(code, node)


def _changed_by_binding(code: Code, node: ast.AST) -> Iterator[str | None]:
    match node:
        case ast.AugAssign(target=ast.Name(id=name)):
            if not _only_immutable(code, node, name):
                yield name
        case ast.Subscript(ctx=ast.Store() | ast.Del()) | ast.Attribute(ctx=ast.Store() | ast.Del()):
            yield node.value.id if isinstance(node.value, ast.Name) else None


def is_plain(function: Function) -> bool:
    """Whether it runs from its first line to a `return`, and all its variables are its own."""
    strange = (
        ast.Yield, ast.YieldFrom, ast.Await, ast.Global, ast.Nonlocal, ast.FunctionDef, ast.AsyncFunctionDef,
        ast.ClassDef, ast.Import, ast.ImportFrom, ast.AsyncFor, ast.AsyncWith, ast.With, ast.Match, ast.NamedExpr,
    )  # fmt: skip
    if any(isinstance(node, strange) for statement in function.body for node in ast.walk(statement)):
        return False
    called = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
    return not called & {"locals", "globals", "vars", "exec", "eval", "dir", "compile"}


def _is_settled_name(code: Code, function: Function, name: str) -> bool:
    """Whether the name is a variable of the function, the program's function, module or constant, or a built-in."""
    if name in {each for node in ast.walk(function) for each in names_bound_by(node)}:
        return True
    if name in code.functions or name in code.modules or code.is_builtin(name) or is_support(code, name):
        return True
    return _is_constant(code, name)


def _is_constant(code: Code, name: str) -> bool:
    """Whether the program binds it once, at the top, to something that cannot change."""
    bindings = [node for node in ast.walk(code.tree) if name in names_bound_by(node)]
    if len(bindings) != 1:
        return False
    statement = code.parent(bindings[0])
    return (
        isinstance(statement, ast.Assign) and statement in code.tree.body and isinstance(statement.value, ast.Constant)
    )
