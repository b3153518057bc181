"""Members of what stays the same."""

import ast
from collections.abc import Iterator

from autodev_learning.proposers.analysis.code import Code
from autodev_learning.proposers.analysis.loops import is_bound_before, settled_loop
from autodev_learning.proposers.speedups import Edit, Speedup


class Membership(Speedup):
    """Ask a set, not a list: `x in items` within a loop looks through all the items each time.

         def f(xs, ys):
             common = []
        +    ys_members = FastMembers(ys)
             for x in xs:
        -        if x in ys:
        +        if x in ys_members:
                     common.append(x)
             return common

    >>> f([1, 2, 2, True, [3]], [2.0, [3], 1]), f([], None), f("abc", "xbc")
    >>> f([[1]], [(1,), 2]), f([float("nan")], [0.0]), f([{1}], [frozenset({1})])
    """

    name = "look up members in a set"
    gain = 50.0

    def edits(self, code: Code) -> Iterator[Edit]:
        done: set[tuple[int, str]] = set()
        for compare in code.all(ast.Compare):
            if not _is_question(compare) or not isinstance(compare.comparators[0], ast.Name):
                continue
            name = compare.comparators[0].id
            loop = settled_loop(code, compare, {name})
            if loop is None or (id(loop.node), name) in done or is_fast(code, loop.function, name):
                continue
            if not is_bound_before(code, loop.statement, name):
                continue
            done.add((id(loop.node), name))
            asked = [
                each.comparators[0]
                for each in ast.walk(loop.node)
                if isinstance(each, ast.Compare) and _is_question(each) and is_name(each.comparators[0], name)
            ]
            members = code.fresh(f"{name}_members")
            yield Edit(
                f"{loop.function.name}: look up in a set of `{name}`",
                [
                    code.before(loop.statement, f"{members} = FastMembers({name})"),
                    *(code.replace(each, members) for each in asked),
                ],
                ["fast_members"],
            )


def _is_question(compare: ast.Compare) -> bool:
    return len(compare.ops) == 1 and isinstance(compare.ops[0], ast.In | ast.NotIn)


def is_name(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def is_fast(code: Code, function: ast.FunctionDef, name: str) -> bool:
    """Whether the function makes it something that is asked quickly already."""
    values = [
        node.value
        for node in ast.walk(function)
        if isinstance(node, ast.Assign) and any(is_name(target, name) for target in node.targets)
    ]
    return any(
        isinstance(value, ast.Dict | ast.Set | ast.DictComp | ast.SetComp | ast.Constant)
        or (
            isinstance(value, ast.Call)
            and isinstance(value.func, ast.Name)
            and value.func.id in ("set", "frozenset", "dict", "range", "str", "FastMembers", "Counter", "defaultdict")
        )
        for value in values
    )
