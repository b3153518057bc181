"""Lists by comprehension."""

import ast
from collections.abc import Iterator
from itertools import pairwise

from autodev_learning.proposers.analysis.code import Change, Code, Function, names_of
from autodev_learning.proposers.analysis.loops import blocks, is_used_after
from autodev_learning.proposers.analysis.ownership import is_own_list
from autodev_learning.proposers.speedups import Edit, Speedup
from autodev_learning.proposers.speedups.membership import is_name


class Comprehend(Speedup):
    """Make a list by a comprehension: a loop that only appends pays for each call of `append`.

         def f(xs):
        -    kept = []
        -    for x in xs:
        -        if x % 2:
        -            kept.append((x, -x))
        +    kept = [(x, -x) for x in xs if x % 2]
             return kept

    >>> f([1, 2, 3]), f([]), f(["a"]), f(None), f((1.5, True))
    """

    name = "make a list by a comprehension"
    gain = 1.3

    def edits(self, code: Code) -> Iterator[Edit]:
        for function, body in blocks(code):
            for start, loop in pairwise(body):
                made = _made(code, function, start, loop)
                if made is not None:
                    name, _ = made
                    yield Edit(
                        f"{function.name}: make `{name}` by a comprehension",
                        _changes(code, start, loop, *made),
                    )


def _changes(code: Code, start: ast.stmt, loop: ast.stmt, name: str, text: str) -> list[Change]:
    return [code.without(start), code.replace(loop, f"{name} = {text}")]


def _made(code: Code, function: Function, start: ast.stmt, loop: ast.stmt) -> tuple[str, str] | None:
    match start, loop:
        case (
            ast.Assign(targets=[ast.Name(id=name)], value=ast.List(elts=[])),
            ast.For(body=[statement], orelse=[], type_comment=None),
        ):
            condition = None
            if isinstance(statement, ast.If) and not statement.orelse and len(statement.body) == 1:
                condition, statement = statement.test, statement.body[0]
            item = _appended(statement, name)
            if item is None or name in names_of(loop.target) | names_of(loop.iter) | names_of(item):
                return None
            if condition is not None and name in names_of(condition):
                return None
            # Within `try`, what was appended before an exception could be seen.
            strange = (ast.NamedExpr, ast.Await, ast.Yield, ast.YieldFrom, ast.Lambda)
            if any(isinstance(node, strange) for node in ast.walk(loop)) or not is_own_list(code, function, name):
                return None
            if any(isinstance(node, ast.Try) for node in ast.walk(function)):
                return None
            # Without the loop it has no value of the function's own.
            if names_of(loop.target) & names_of(loop.iter):
                return None
            if is_used_after(code, function, loop, names_of(loop.target)) or not _plain_target(loop.target):
                return None
            tail = f" if {_one_line(code, condition)}" if condition is not None else ""
            head = f"{_one_line(code, item)} for {_one_line(code, loop.target)} in {_one_line(code, loop.iter)}"
            return name, f"[{head}{tail}]"
    return None


def _appended(statement: ast.stmt, name: str) -> ast.expr | None:
    match statement:
        case ast.Expr(value=ast.Call(func=ast.Attribute(attr="append") as method, args=[item], keywords=[])):
            plain = is_name(method.value, name) and not isinstance(item, ast.Starred)
            return item if plain else None
    return None


def _plain_target(target: ast.expr) -> bool:
    return all(isinstance(node, ast.Name | ast.Tuple | ast.expr_context) for node in ast.walk(target))


def _one_line(code: Code, node: ast.expr) -> str:
    """The text of an expression that may stand within a comprehension as it is."""
    text = code.source(node)
    return f"({text})" if isinstance(node, ast.IfExp | ast.Lambda | ast.GeneratorExp) or "\n" in text else text
