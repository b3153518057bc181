"""What comes out the same in each turn."""

import ast
from collections.abc import Iterator

from autodev_learning.proposers.analysis.code import Code
from autodev_learning.proposers.analysis.loops import is_pure_expression, settled_loop, variables_of
from autodev_learning.proposers.analysis.ownership import is_only_read, reads_without_handing_out
from autodev_learning.proposers.speedups import Edit, Speedup

# They take no time.
_CHEAP = frozenset(
    {"len", "range", "enumerate", "zip", "map", "filter", "reversed", "isinstance", "issubclass", "bool", "int",
     "float", "abs", "ord", "chr", "type", "divmod", "round", "pow", "slice", "hash"}
)  # fmt: skip
# What they give may be given out and kept: nobody can change it.
_GIVES_VALUES = frozenset({"any", "all", "str", "repr", "tuple", "frozenset"})


class Hoisting(Speedup):
    """Compute once what comes out the same in each turn of a loop, when it is needed first.

         def f(xs, ys):
             over = []
        +    max_once = Once()
             for x in xs:
        -        if x > max(ys):
        +        if x > max_once(lambda: max(ys), ys):
                     over.append(x)
             return over

    >>> f([1, 5, 3], [2, 3]), f([], []), f([1, 9], range(4)), f([4, 2], iter([3]))
    """

    name = "compute once what stays the same"
    gain = 20.0

    def edits(self, code: Code) -> Iterator[Edit]:
        done: set[str] = set()
        for call in code.all(ast.Call):
            variables = variables_of(code, call)
            if not _is_worth_it(code, call) or not variables or not is_pure_expression(code, call):
                continue
            loop = settled_loop(code, call, variables)
            text = code.source(call)
            if loop is None or f"{id(loop.node)}:{text}" in done:
                continue
            done.add(f"{id(loop.node)}:{text}")
            same = [each for each in ast.walk(loop.node) if isinstance(each, ast.Call) and code.source(each) == text]
            if not all(_may_be_shared(code, each) for each in same):
                continue
            called = text.partition("(")[0].rpartition(".")[2]
            once = code.fresh(f"{called}_once")
            asked = f"{once}({', '.join([f'lambda: {text}', *sorted(variables)])})"
            yield Edit(
                f"{loop.function.name}: compute `{text}` once",
                [
                    code.before(loop.statement, f"{once} = Once()"),
                    *(code.replace(each, asked) for each in same),
                ],
                ["once"],
            )


def _is_worth_it(code: Code, call: ast.Call) -> bool:
    match call.func:
        case ast.Name(id=name):
            return name in code.functions or (code.is_builtin(name) and name not in _CHEAP)
        case ast.Attribute(attr="join" | "split" | "splitlines" | "lower" | "upper" | "replace" | "strip"):
            return True
    return False


def _may_be_shared(code: Code, call: ast.Call) -> bool:
    """Whether it cannot matter that two turns get the very same object, if nothing that it holds can be changed.

    That is seen when it is computed: `Once` keeps nothing else.
    """
    if isinstance(call.func, ast.Attribute) and not call.func.attr.startswith("split"):
        return True
    if _gives_values(call) or _gives_items(call) or reads_without_handing_out(code, call):
        return True
    binding = code.parent(call)
    function = code.function_around(call)
    match binding:
        case ast.Assign(targets=[ast.Name(id=name)], value=value) if value is call and function is not None:
            return is_only_read(code, function, name)
    return False


def _gives_values(call: ast.Call) -> bool:
    match call:
        case ast.Call(func=ast.Name(id="sum"), args=[_], keywords=[]):
            # From 0 on: what can be added to that is a number.
            return True
        case ast.Call(func=ast.Name(id=name)):
            return name in _GIVES_VALUES
    return False


def _gives_items(call: ast.Call) -> bool:
    """Whether it gives what a variable holds, which is the same object each time."""
    match call:
        case ast.Call(func=ast.Name(id="min" | "max"), args=args):
            held = all(isinstance(each, ast.Name | ast.Constant) for each in args)
            return held and all(each.arg == "key" for each in call.keywords)
    return False
