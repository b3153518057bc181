"""Sums of parts."""

import ast
from collections.abc import Iterator

from autodev_learning.proposers.analysis.code import Code
from autodev_learning.proposers.analysis.loops import is_bound_before, is_pure_expression, settled_loop
from autodev_learning.proposers.speedups import Edit, Speedup
from autodev_learning.proposers.speedups.membership import is_name


class PartSums(Speedup):
    """Take the sum of a part of a list from running totals: adding it up takes as long as the part is.

         def f(xs, k):
        +    xs_sums = RangeSums(xs)
        -    return [sum(xs[i : i + k]) for i in range(len(xs) - k + 1)]
        +    return [xs_sums.between(i, i + k) for i in range(len(xs) - k + 1)]

    >>> f([1, 2, 3, 4], 2), f([0.1, 0.2, 0.3], 2), f([], 1), f([True, 2], 1), f([1, 2, 3], -1), f(["a"], 1)
    """

    name = "take sums of parts from running totals"
    gain = 35.0

    def edits(self, code: Code) -> Iterator[Edit]:
        done: set[tuple[int, str]] = set()
        for call in code.all(ast.Call):
            name = _summed(code, call)
            loop = settled_loop(code, call, {name}) if name else None
            if loop is None or name is None or (id(loop.node), name) in done:
                continue
            if not is_bound_before(code, loop.statement, name):
                continue
            done.add((id(loop.node), name))
            same = [each for each in ast.walk(loop.node) if isinstance(each, ast.Call) and _summed(code, each) == name]
            sums = code.fresh(f"{name}_sums")
            yield Edit(
                f"{loop.function.name}: take sums of parts of `{name}` from running totals",
                [
                    code.before(loop.statement, f"{sums} = RangeSums({name})"),
                    *(code.replace(each, f"{sums}.between({_bounds(code, each)})") for each in same),
                ],
                ["range_sums"],
            )


def _summed(code: Code, call: ast.Call) -> str | None:
    """The list of which the call sums a part, from one place to another."""
    match call:
        case ast.Call(
            func=ast.Name(id="sum"),
            args=[ast.Subscript(value=ast.Name(id=name), slice=ast.Slice(step=None) as part)],
            keywords=[],
        ) if code.is_builtin("sum"):
            ends = [end for end in (part.lower, part.upper) if end is not None]
            still = all(
                is_pure_expression(code, end) and not any(is_name(e, name) for e in _called(end)) for end in ends
            )
            return name if still else None
    return None


def _called(end: ast.expr) -> Iterator[ast.AST]:
    return (node.func for node in ast.walk(end) if isinstance(node, ast.Call))


def _bounds(code: Code, call: ast.Call) -> str:
    part = call.args[0]
    assert isinstance(part, ast.Subscript)
    assert isinstance(part.slice, ast.Slice)
    return ", ".join(code.source(end) if end is not None else "None" for end in (part.slice.lower, part.slice.upper))
