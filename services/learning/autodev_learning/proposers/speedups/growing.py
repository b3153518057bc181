"""Members of a list that grows."""

import ast
from collections.abc import Iterator

from autodev_learning.proposers.analysis.code import Change, Code, Function, names_bound_by
from autodev_learning.proposers.analysis.effects import is_plain
from autodev_learning.proposers.analysis.loops import loops_around
from autodev_learning.proposers.analysis.ownership import is_own_list
from autodev_learning.proposers.speedups import Edit, Speedup
from autodev_learning.proposers.speedups.membership import is_name


class Growing(Speedup):
    """Keep a set of what is in a list that only grows, and ask that.

         def f(xs):
             kept = []
        +    kept_members = FastMembers(kept)
             for x in xs:
        -        if x not in kept:
        +        if x not in kept_members:
                     kept.append(x)
        +            kept_members.add(x)
             return kept

    >>> f([3, 1, 3, 1.0, True, [1], [1]]), f("hello"), f([]), f([float("nan"), 0.0, -0.0])
    """

    name = "keep a set of what is in a growing list"
    gain = 55.0

    def edits(self, code: Code) -> Iterator[Edit]:
        for function in code.all(ast.FunctionDef):
            if not is_plain(function):
                continue
            for name in _asked(code, function):
                grown = _grown(code, function, name)
                if grown is None or not is_own_list(code, function, name):
                    continue
                start, appends = grown
                members = code.fresh(f"{name}_members")
                yield Edit(
                    f"{function.name}: keep a set of what is in `{name}`",
                    _changes(code, function, name, start, appends, members),
                    ["fast_members"],
                )


def _changes(
    code: Code, function: Function, name: str, start: ast.stmt, appends: list[ast.Expr], members: str
) -> list[Change]:
    return [
        code.after(start, f"{members} = FastMembers({name})"),
        *(
            code.replace(each.comparators[0], members)
            for each in ast.walk(function)
            if isinstance(each, ast.Compare) and _asks(each, name)
        ),
        *(code.after(append, f"{members}.add({code.source(_appended(append))})") for append in appends),
    ]


def _asked(code: Code, function: Function) -> list[str]:
    return list(
        dict.fromkeys(
            each.comparators[0].id
            for each in code.all(ast.Compare)
            if code.function_around(each) is function
            and isinstance(each.comparators[0], ast.Name)
            and _asks(each, each.comparators[0].id)
            and loops_around(code, each)
        )
    )


def _asks(compare: ast.Compare, name: str) -> bool:
    return (
        len(compare.ops) == 1
        and isinstance(compare.ops[0], ast.In | ast.NotIn)
        and is_name(compare.comparators[0], name)
    )


def _grown(code: Code, function: Function, name: str) -> tuple[ast.Assign, list[ast.Expr]] | None:
    """Where the list is started and the statements that append to it, if nothing else changes it.

    What is appended must be worth the same a second time: a name or a constant.
    """
    starts = [
        node
        for node in function.body
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and is_name(node.targets[0], name)
    ]
    bindings = [each for node in ast.walk(function) for each in names_bound_by(node) if each == name]
    if len(starts) != 1 or len(bindings) != 1:
        return None
    appends: list[ast.Expr] = []
    for node in ast.walk(function):
        if isinstance(node, ast.Attribute) and is_name(node.value, name):
            call, statement = code.parent(node), code.parent(code.parent(node) or node)
            if node.attr in ("count", "index", "copy"):
                continue
            if not isinstance(call, ast.Call) or not isinstance(statement, ast.Expr) or node.attr != "append":
                return None
            if len(call.args) != 1 or not isinstance(call.args[0], ast.Name | ast.Constant) or call.keywords:
                return None
            appends.append(statement)
        elif isinstance(node, ast.Subscript) and is_name(node.value, name) and not isinstance(node.ctx, ast.Load):
            return None
    return (starts[0], appends) if appends else None


def _appended(append: ast.Expr) -> ast.expr:
    assert isinstance(append.value, ast.Call)
    return append.value.args[0]
