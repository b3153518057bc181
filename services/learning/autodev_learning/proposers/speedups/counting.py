"""Counts and places in what stays the same."""

import ast
from collections.abc import Iterator

from autodev_learning.proposers.analysis.code import Code
from autodev_learning.proposers.analysis.loops import is_bound_before, settled_loop
from autodev_learning.proposers.speedups import Edit, Speedup
from autodev_learning.proposers.speedups.membership import is_name


class Counting(Speedup):
    """Count or find once: `items.count(x)` within a loop looks through all the items each time.

         def f(xs):
        +    xs_counts = FastCounts(xs)
        -    return [xs.count(x) for x in xs]
        +    return [xs_counts.count(x) for x in xs]

    >>> f([1, True, 2, [3], [3], 1.0]), f("aab"), f(()), f([float("nan"), 1])
    """

    name = "count or find once, before the loop"
    gain = 40.0

    def edits(self, code: Code) -> Iterator[Edit]:
        done: set[tuple[int, str]] = set()
        for node in code.all(ast.Attribute):
            if node.attr not in ("count", "index") or not isinstance(node.value, ast.Name):
                continue
            name = node.value.id
            loop = settled_loop(code, node, {name}) if name not in code.modules else None
            if loop is None or (id(loop.node), name) in done or name.endswith("_counts"):
                continue
            if not is_bound_before(code, loop.statement, name):
                continue
            done.add((id(loop.node), name))
            asked = [
                each.value
                for each in ast.walk(loop.node)
                if isinstance(each, ast.Attribute) and each.attr in ("count", "index") and is_name(each.value, name)
            ]
            counts = code.fresh(f"{name}_counts")
            yield Edit(
                f"{loop.function.name}: count what is in `{name}` once",
                [
                    code.before(loop.statement, f"{counts} = FastCounts({name})"),
                    *(code.replace(each, counts) for each in asked),
                ],
                ["fast_counts"],
            )
