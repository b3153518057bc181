"""Nothing more to find."""

import ast
from collections.abc import Iterator

from autodev_learning.proposers.analysis.code import Code, names_of
from autodev_learning.proposers.analysis.effects import is_plain
from autodev_learning.proposers.analysis.loops import is_bound_before, is_used_after
from autodev_learning.proposers.speedups import Edit, Speedup


class EarlyExit(Speedup):
    """Leave a loop when it has found what it looks for: all it could still do is to find it again.

         def f(xs, wanted):
             found = False
             for x in xs:
                 if x == wanted:
                     found = True
        +            if isinstance(xs, (dict, list, range, set, str, tuple)):
        +                break
             return found

    >>> f([1, 2, 3], 2), f([], 1), f(iter([1, 1]), 1), f([[1], 1.0], True), f("abc", "d"), f(None, 1)
    """

    name = "leave the loop when it has found"
    gain = 12.0

    def edits(self, code: Code) -> Iterator[Edit]:
        for loop in code.all(ast.For):
            found = _found(code, loop)
            if found is not None:
                function = code.function_around(loop)
                assert isinstance(loop.iter, ast.Name)
                check = f"if isinstance({loop.iter.id}, (dict, list, range, set, str, tuple)):"
                yield Edit(
                    f"{function.name if function else 'module'}: leave `for ... in {loop.iter.id}` once it has found",
                    [code.after(found, check, "    break")],
                )


def _found(code: Code, loop: ast.For) -> ast.Assign | None:
    """The statement after which the loop changes nothing any more.

    All it does is to bind one variable to one constant, where something is equal, which nothing can go wrong at.
    """
    match loop:
        case ast.For(
            target=ast.Name() | ast.Tuple(),
            iter=ast.Name(id=items),
            body=[
                ast.If(
                    test=test,
                    body=[ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant()) as found],
                    orelse=[],
                )
            ],
            orelse=[],
        ):
            function = code.function_around(loop)
            variables = names_of(loop.target)
            safe = isinstance(loop.target, ast.Name) and _cannot_fail(test) and name not in names_of(test)
            if function is None or not is_plain(function) or not safe:
                return None
            if items in variables or name in variables or name == items:
                return None
            known = all(is_bound_before(code, loop, each) for each in names_of(test) - variables)
            if is_used_after(code, function, loop, variables) or not known:
                return None
            return found
    return None


def _cannot_fail(test: ast.expr) -> bool:
    match test:
        case ast.Compare(left=ast.Name() | ast.Constant(), ops=[ast.Eq() | ast.NotEq() | ast.Is() | ast.IsNot()]):
            return isinstance(test.comparators[0], ast.Name | ast.Constant)
        case ast.BoolOp():
            return all(_cannot_fail(value) for value in test.values)
        case ast.UnaryOp(op=ast.Not()):
            return _cannot_fail(test.operand)
    return False
