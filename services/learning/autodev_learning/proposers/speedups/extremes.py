"""The least and the greatest."""

import ast
from collections.abc import Iterator

from autodev_learning.proposers.analysis.code import Code, names_bound_by
from autodev_learning.proposers.analysis.effects import is_plain
from autodev_learning.proposers.analysis.loops import is_bound_before
from autodev_learning.proposers.speedups import Edit, Speedup


class Extremes(Speedup):
    """Take the least or the greatest, or the first few, without sorting all the others.

         def f(xs):
        -    return sorted(xs)[0]
        +    return first_sorted(xs)

    >>> f([3, 1, 2]), f([True, 1, 1.0]), f("hello"), f([[2], [1]]), f([]), f([2, "a"]), f({5: 1, 3: 0}), f(None)
    >>> f([3.0, float("nan"), 1.0])
    """

    name = "take the first without sorting all"
    gain = 8.0

    def edits(self, code: Code) -> Iterator[Edit]:
        for node in code.all(ast.Subscript):
            text = _quicker(code, node)
            if text is not None:
                function = code.function_around(node)
                yield Edit(
                    f"{function.name if function else 'module'}: `{text}` instead of `{code.source(node)}`",
                    [code.replace(node, text)],
                    ["extremes"],
                )


def _quicker(code: Code, node: ast.Subscript) -> str | None:
    call = node.value
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or not code.is_builtin("sorted"):
        return None
    if call.func.id != "sorted" or len(call.args) != 1 or isinstance(call.args[0], ast.Starred):
        return None
    keywords = {keyword.arg: keyword.value for keyword in call.keywords}
    if not keywords.keys() <= {"key", "reverse"}:
        return None
    reverse = keywords.get("reverse")
    if reverse is not None and not (isinstance(reverse, ast.Constant) and type(reverse.value) is bool):
        return None
    is_reversed = isinstance(reverse, ast.Constant) and reverse.value
    items = code.source(call.args[0])
    match node.slice:
        case ast.Constant(value=0) if not keywords and type(node.slice.value) is int:
            return f"first_sorted({items})"
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=1)) if not keywords:
            return f"last_sorted({items})"
        case ast.Slice(lower=None, upper=ast.Name() | ast.Constant() as upper, step=None):
            if isinstance(upper, ast.Name) and not _is_settled(code, node, upper.id):
                return None
            key = f", {code.source(keywords['key'])}" if "key" in keywords else ""
            return f"{'greatest_n' if is_reversed else 'least_n'}({items}, {code.source(upper)}{key})"
    return None


def _is_settled(code: Code, node: ast.AST, name: str) -> bool:
    """Whether it can be asked for before the sorting: it has a value, and nobody else can give it another one."""
    function = code.function_around(node)
    if function is None or not is_plain(function) or not is_bound_before(code, node, name):
        return False
    return any(name in names_bound_by(each) for each in ast.walk(function))
