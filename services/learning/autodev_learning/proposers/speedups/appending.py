"""Lists that grow by copies."""

import ast
from collections.abc import Iterator

from autodev_learning.proposers.analysis.code import Code, names_of
from autodev_learning.proposers.analysis.effects import is_plain
from autodev_learning.proposers.analysis.loops import loops_around
from autodev_learning.proposers.analysis.ownership import is_own, makes_list
from autodev_learning.proposers.speedups import Edit, Speedup
from autodev_learning.proposers.speedups.membership import is_name


class Appending(Speedup):
    """Add to a list in place: `items = items + [x]` copies all the items each time.

         def f(xs):
             kept = []
             for x in xs:
        -        kept = kept + [x]
        +        kept += [x]
             return kept

    >>> f([1, 2, 3]), f([]), f("ab")
    """

    name = "add to a list in place"
    gain = 30.0

    def edits(self, code: Code) -> Iterator[Edit]:
        for node in code.all(ast.Assign):
            match node:
                case ast.Assign(targets=[ast.Name(id=name)], value=ast.BinOp(left=left, op=ast.Add(), right=right)) if (
                    is_name(left, name) and makes_list(code, right)
                ):
                    function = code.function_around(node)
                    if function is None or not is_plain(function) or not loops_around(code, node):
                        continue
                    # A loop over the list goes on over the copy that it began with.
                    if any(isinstance(each, ast.For) and name in names_of(each.iter) for each in code.ancestors(node)):
                        continue
                    if _is_list_but_for_sums(code, function, name):
                        yield Edit(
                            f"{function.name}: add to `{name}` in place",
                            [code.replace(node, f"{name} += {code.source(right)}")],
                        )


def _is_list_but_for_sums(code: Code, function: ast.FunctionDef, name: str) -> bool:
    """Whether it is the function's own list, sums of itself and other lists aside."""
    started = [
        each.value
        for each in ast.walk(function)
        if (isinstance(each, ast.Assign) and is_name(each.targets[0], name))
        or (isinstance(each, ast.AnnAssign) and is_name(each.target, name))
    ]
    lists = [
        value for value in started if value is not None and (makes_list(code, value) or _is_longer(code, value, name))
    ]
    return len(lists) == len(started) and any(makes_list(code, each) for each in lists) and is_own(code, function, name)


def _is_longer(code: Code, value: ast.expr, name: str) -> bool:
    return isinstance(value, ast.BinOp) and is_name(value.left, name) and makes_list(code, value.right)
