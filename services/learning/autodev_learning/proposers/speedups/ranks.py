"""How many are less, or more."""

import ast
from collections.abc import Iterator, Sequence

from autodev_learning.proposers.analysis.code import Code
from autodev_learning.proposers.analysis.loops import is_bound_before, settled_loop
from autodev_learning.proposers.speedups import Edit, Speedup

_METHODS = {ast.Lt: "less", ast.LtE: "less_or_equal", ast.Gt: "greater", ast.GtE: "greater_or_equal"}
_TURNED = {ast.Lt: ast.Gt, ast.LtE: ast.GtE, ast.Gt: ast.Lt, ast.GtE: ast.LtE}


class Ranking(Speedup):
    """Count by bisection how many of a list's items are less: sorted once, it need not be gone through each time.

         def f(xs, ys):
        +    ys_ranks = Ranks(ys)
        -    return [sum(1 for y in ys if y < x) for x in xs]
        +    return [ys_ranks.less(x) for x in xs]

    >>> f([2, 1.5, True], [1, 2, 3]), f("b", "abc"), f([], None), f([1], [float("nan"), 0]), f([float("nan")], [1])
    >>> f([1], ["a"]), f([[2]], [[1], [3]])
    """

    name = "count by bisection how many are less"
    gain = 45.0

    def edits(self, code: Code) -> Iterator[Edit]:
        done: set[tuple[int, str]] = set()
        for call in code.all(ast.Call):
            counted = _counted(code, call)
            loop = settled_loop(code, call, {counted[0]}) if counted else None
            if loop is None or counted is None or (id(loop.node), counted[0]) in done:
                continue
            name = counted[0]
            if not is_bound_before(code, loop.statement, name):
                continue
            done.add((id(loop.node), name))
            same = [
                (each, found)
                for each in ast.walk(loop.node)
                if isinstance(each, ast.Call) and (found := _counted(code, each)) is not None and found[0] == name
            ]
            ranks = code.fresh(f"{name}_ranks")
            yield Edit(
                f"{loop.function.name}: count in `{name}` by bisection",
                [
                    code.before(loop.statement, f"{ranks} = Ranks({name})"),
                    *(code.replace(each, f"{ranks}.{method}({limit})") for each, (_, method, limit) in same),
                ],
                ["ranks"],
            )


def _counted(code: Code, call: ast.Call) -> tuple[str, str, str] | None:
    """(list, method of `Ranks`, limit) where the call counts the items of a list on one side of a limit."""
    match call:
        case ast.Call(
            func=ast.Name(id="sum"),
            args=[ast.GeneratorExp(elt=ast.Constant(value=1), generators=[clause]) | ast.ListComp(
                elt=ast.Constant(value=1), generators=[clause])],
            keywords=[],
        ) if code.is_builtin("sum"):  # fmt: skip
            return _limited(clause, clause.ifs)
        case ast.Call(
            func=ast.Name(id="sum"),
            args=[ast.GeneratorExp(elt=ast.Compare() as test, generators=[ast.comprehension(ifs=[]) as clause])],
            keywords=[],
        ) if code.is_builtin("sum"):
            return _limited(clause, [test])
        case ast.Call(
            func=ast.Name(id="len"), args=[ast.ListComp(elt=ast.Name(id=item), generators=[clause])], keywords=[]
        ) if code.is_builtin("len"):
            kept = isinstance(clause.target, ast.Name) and clause.target.id == item
            return _limited(clause, clause.ifs) if kept else None
    return None


def _limited(clause: ast.comprehension, tests: Sequence[ast.expr]) -> tuple[str, str, str] | None:
    match clause.target, clause.iter, tests:
        case ast.Name(id=item), ast.Name(id=name), [ast.Compare(left=left, ops=[op], comparators=[right])]:
            kind = type(op)
            if kind not in _METHODS or item == name:
                return None
            for side, other, turned in ((left, right, kind), (right, left, _TURNED[kind])):
                plain = isinstance(other, ast.Name | ast.Constant)
                if isinstance(side, ast.Name) and side.id == item and plain and ast.unparse(other) not in (item, name):
                    return name, _METHODS[turned], ast.unparse(other)
    return None
