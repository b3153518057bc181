"""What is done again and again, and what stays the same meanwhile."""

import ast
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from autodev_learning.proposers.analysis.code import (
    COMPREHENSIONS,
    Code,
    Comprehension,
    Function,
    free_names,
    names_bound_by,
    names_of,
)
from autodev_learning.proposers.analysis.effects import call_is_pure, changes, is_plain
from autodev_learning.proposers.analysis.ownership import is_own, is_run_here


@dataclass(frozen=True)
class Loop:
    """A loop, a comprehension, or a call that asks a key function: `statement` is what it is, or stands in."""

    node: ast.AST
    statement: ast.stmt
    function: Function


def loops_around(code: Code, node: ast.AST) -> list[Loop]:
    """What repeats the node within its function, the outermost first."""
    function = code.function_around(node)
    if function is None or not is_plain(function):
        return []
    found: list[Loop] = []
    inner: ast.AST = node
    repeated = False
    for around in code.ancestors(node):
        if around is function:
            # Defaults and decorators are computed outside of it.
            return found[::-1] if inner in function.body else []
        if isinstance(around, ast.comprehension):
            repeated = inner in around.ifs
        elif _repeats(code, around, inner) or (isinstance(inner, ast.comprehension) and repeated):
            found.append(Loop(around, code.statement_around(around), function))
        if isinstance(around, ast.Lambda | ast.GeneratorExp) and not is_run_here(code, around):
            # It may be run when the loop is over.
            return []
        inner = around
    return []


def _repeats(code: Code, around: ast.AST, inner: ast.AST) -> bool:
    match around:
        case ast.For():
            return inner in around.body or inner in around.orelse
        case ast.While():
            return inner is around.test or inner in around.body
        case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
            return inner is not around.generators[0]
        case ast.Call(func=ast.Name(id="sorted" | "min" | "max" as name)):
            return isinstance(inner, ast.keyword) and inner.arg == "key" and code.is_builtin(name)
    return False


def is_settled(code: Code, loop: Loop, names: Collection[str]) -> bool:
    """Whether the loop binds none of the variables and changes nothing that they hold."""
    bound = {name for node in ast.walk(loop.node) for name in names_bound_by(node)}
    return not bound & set(names) and _leaves(code, loop.function, loop.node, names)


def _leaves(code: Code, function: Function, region: ast.AST, names: Collection[str]) -> bool:
    """Whether nothing in the region changes what the variables hold."""
    return all(
        changed is not None and changed not in names and is_own(code, function, changed)
        for changed in changes(code, region)
    )


def settled_loop(code: Code, node: ast.AST, names: Collection[str]) -> Loop | None:
    """The outermost loop that repeats the node and leaves the variables as they are, if a line can stand before it."""
    loops = loops_around(code, node)
    for place, loop in enumerate(loops):
        if isinstance(loop.node, ast.stmt):
            starts_line = True
        else:
            # A line before it is a line before its statement, with all that stands there besides.
            first = not any(loop.statement is each.statement is not each.node for each in loops[:place])
            starts_line = first and not isinstance(loop.statement, ast.While)
            starts_line = starts_line and _leaves(code, loop.function, _part_of_statement(code, loop.node), names)
        if starts_line and is_settled(code, loop, names):
            return loop
    return None


def _part_of_statement(code: Code, node: ast.AST) -> ast.AST:
    """The statement around an expression; of one that has a body, the expression before that."""
    for around in code.ancestors(node):
        if isinstance(around, ast.stmt):
            return node if hasattr(around, "body") else around
        node = around
    return node


def is_pure_expression(code: Code, node: ast.expr) -> bool:
    """Whether an expression only computes."""
    for each in ast.walk(node):
        if isinstance(each, ast.NamedExpr | ast.Await | ast.Yield | ast.YieldFrom):
            return False
        if isinstance(each, ast.Call) and not call_is_pure(code, each):
            return False
    return True


def variables_of(code: Code, node: ast.AST) -> set[str]:
    """The variables that an expression reads: not functions, modules or built-ins."""
    return {
        name
        for name in free_names(node)
        if name not in code.functions and name not in code.modules and not code.is_builtin(name)
    }


def is_bound_before(code: Code, node: ast.AST, name: str) -> bool:
    """Whether a variable has a value where the node is reached: a parameter, or bound by what always comes before."""
    if any(_may_unbind(each, name) for each in ast.walk(code.tree)):
        return False
    inner = node
    for around in code.ancestors(node):
        if isinstance(around, ast.For) and inner in around.body and name in names_of(around.target):
            return True
        for field in ("body", "orelse", "finalbody"):
            block = getattr(around, field, None)
            before = block[: block.index(inner)] if isinstance(block, list) and inner in block else []
            if not isinstance(around, ast.ClassDef) and any(_binds(each, name) for each in before):
                return True
        if isinstance(around, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            if any(each.arg == name for each in ast.walk(around.args) if isinstance(each, ast.arg)):
                return True
            if any(name in names_bound_by(each) for each in ast.walk(around)):
                return False
        inner = around
    return False


def _may_unbind(node: ast.AST, name: str) -> bool:
    match node:
        case ast.Name(id=bound, ctx=ast.Del()) | ast.ExceptHandler(name=bound):
            return bound == name
    return False


def _binds(statement: ast.stmt, name: str) -> bool:
    match statement:
        case ast.Assign(targets=targets):
            return any(name in names_bound_by(node) for target in targets for node in ast.walk(target))
        case ast.AnnAssign(target=ast.Name(id=bound), value=ast.expr()):
            return bound == name
        case ast.Import() | ast.ImportFrom():
            return any(name in names_bound_by(alias) for alias in statement.names)
    return False


def comprehension_around(code: Code, node: ast.comprehension) -> Comprehension:
    around = code.parent(node)
    assert isinstance(around, COMPREHENSIONS)
    return around


def is_used_after(code: Code, function: Function, loop: ast.For, names: Collection[str]) -> bool:
    """Whether a variable of a loop's is read, or taken away, outside of the loop."""
    inside = {id(node) for node in ast.walk(loop)}
    return any(
        isinstance(node, ast.Name)
        and node.id in names
        and not isinstance(node.ctx, ast.Store)
        and id(node) not in inside
        for node in ast.walk(function)
    )


def blocks(code: Code) -> Iterator[tuple[Function, list[ast.stmt]]]:
    """Every sequence of statements in a function whose variables are its own."""
    for function in code.all(ast.FunctionDef):
        if not is_plain(function):
            continue
        for node in ast.walk(function):
            for field in ("body", "orelse", "finalbody"):
                body = getattr(node, field, None)
                if isinstance(body, list) and body and isinstance(body[0], ast.stmt):
                    yield function, body
