"""What a helper gave in an earlier turn."""

import ast
from collections.abc import Iterator

from autodev_learning.proposers.analysis.code import Change, Code, Function
from autodev_learning.proposers.analysis.effects import is_pure
from autodev_learning.proposers.analysis.loops import loops_around
from autodev_learning.proposers.speedups import Edit, Speedup
from autodev_learning.proposers.speedups.memoise import can_be_split, remembering


class Recalling(Speedup):
    """Remember what a function gave that is asked in a loop, or asks itself on, for as long as the program runs.

        +g_known = {}
        +
        +
         def g(n):
        +    g_key = n if type(n) is int else plain_key(n)
        +    if g_key in g_known:
        +        return g_known[g_key]
        -    return 1 if n == 1 else 1 + g(n // 2 if n % 2 == 0 else 3 * n + 1)
        +    return remember(g_known, g_key, 1 if n == 1 else 1 + g(n // 2 if n % 2 == 0 else 3 * n + 1))


         def f(limit):
             return max(g(n) for n in range(1, limit))

    >>> f(30), f(True + 1), g(8.0), g(True)
    """

    name = "remember what a helper gave"
    gain = 30.0

    def edits(self, code: Code) -> Iterator[Edit]:
        for function in code.functions.values():
            if can_be_split(function) and _is_asked_again(code, function) and is_pure(code, function):
                yield Edit(
                    f"{function.name}: remember its results",
                    _changes(code, function),
                    ["memory"],
                )


def _changes(code: Code, function: Function) -> list[Change]:
    known, key = code.fresh(f"{function.name}_known"), code.fresh(f"{function.name}_key")
    start, _ = code.span(function)
    return [Change(start, start, f"{known} = {{}}\n\n\n"), *remembering(code, function, [], known, key)]


def _is_asked_again(code: Code, function: Function) -> bool:
    asked = False
    for node in code.all(ast.Name):
        if node.id == function.name:
            call = code.parent(node)
            if not isinstance(call, ast.Call) or call.func is not node:
                return False
            asked = asked or bool(loops_around(code, call)) or code.function_around(call) is function
    works = any(isinstance(node, ast.For | ast.While | ast.comprehension | ast.Call) for node in ast.walk(function))
    return asked and works
