"""Names that are looked up again and again."""

import ast
from collections.abc import Iterator

from autodev_learning.proposers.analysis.code import Code
from autodev_learning.proposers.analysis.effects import PURE_MODULES
from autodev_learning.proposers.analysis.loops import loops_around
from autodev_learning.proposers.speedups import Edit, Speedup


class LocalBinding(Speedup):
    """Look a module's function up once, before the loop.

         import math


         def f(xs):
             total = 0.0
        +    math_sqrt = math.sqrt
             for x in xs:
        -        total += math.sqrt(x)
        +        total += math_sqrt(x)
             return total

    >>> f([1, 4]), f([]), f([-1]), f("a")
    """

    name = "look a function up once"
    gain = 1.1

    def edits(self, code: Code) -> Iterator[Edit]:
        done: set[tuple[int, str]] = set()
        for node in code.all(ast.Attribute):
            text = _module_function(code, node)
            loops = loops_around(code, node) if text else []
            if text is None or not loops or (id(loops[0].node), text) in done:
                continue
            loop = loops[0]
            if not isinstance(loop.node, ast.stmt) and isinstance(loop.statement, ast.While):
                continue
            done.add((id(loop.node), text))
            same = [
                each
                for each in ast.walk(loop.node)
                if isinstance(each, ast.Attribute) and _module_function(code, each) == text
            ]
            bound = code.fresh(text.replace(".", "_"))
            yield Edit(
                f"{loop.function.name}: look `{text}` up once",
                [
                    code.before(loop.statement, f"{bound} = {text}"),
                    *(code.replace(each, bound) for each in same),
                ],
            )


def _module_function(code: Code, node: ast.Attribute) -> str | None:
    """`math.sqrt`, where that is what it says: a function that the module has."""
    call = code.parent(node)
    if not isinstance(node.value, ast.Name) or not isinstance(call, ast.Call) or call.func is not node:
        return None
    module = code.modules.get(node.value.id, "")
    if module not in PURE_MODULES or not hasattr(__import__(module), node.attr):
        return None
    return f"{node.value.id}.{node.attr}"
