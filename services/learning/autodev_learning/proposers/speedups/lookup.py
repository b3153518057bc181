"""Partners by key."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from autodev_learning.proposers.analysis.code import COMPREHENSIONS, Change, Code, names_bound_by, names_of
from autodev_learning.proposers.analysis.effects import changes
from autodev_learning.proposers.analysis.loops import (
    Loop,
    comprehension_around,
    is_pure_expression,
    is_used_after,
    settled_loop,
    variables_of,
)
from autodev_learning.proposers.speedups import Edit, Speedup

_LOOKS = frozenset({"abs", "bool", "chr", "float", "int", "len", "ord", "repr", "round", "str", "type"})


@dataclass(frozen=True)
class Search:
    """A loop over `iterated`, which looks for those that have a key: `partner` of each, which must equal `own`.

    It begins at the place `start` of `items`, where that is not the first.
    """

    loop: Loop
    iterated: ast.expr
    target: ast.expr
    partner: ast.expr
    own: ast.expr
    items: str
    start: str


class Lookup(Speedup):
    """Find partners in a table: a loop within a loop that only looks for equal keys goes through all pairs.

         def f(xs, ys):
             rows = []
        +    ys_partners = Partners(lambda: ys, lambda y: y[0])
             for x in xs:
        -        for y in ys:
        +        for y in ys_partners.having(lambda: x[0]):
                     if y[0] == x[0]:
                         rows.append((x, y))
             return rows

    >>> f([(1, 2), (2, 3), (1, 4)], [(2, "a"), (1, "b"), (True, "c")]), f([], [None]), f([()], [])
    >>> f([([1],), (float("nan"),)], [([1], 5), ((1,), 6), (float("nan"), 7)]), f(["ab"], iter(["ac"]))
    """

    name = "look partners up in a table"
    gain = 60.0

    def edits(self, code: Code) -> Iterator[Edit]:
        for search in _searches(code):
            name = search.items if search.items.isidentifier() else "items"
            table = code.fresh(f"{name}_partners")
            yield Edit(
                f"{search.loop.function.name}: look up `{code.source(search.target)}` of `{search.items}` "
                f"by `{code.source(search.partner)}`",
                _changes(code, search, table),
                ["partners"],
            )


def _changes(code: Code, search: Search, table: str) -> list[Change]:
    target, partner = code.source(search.target), code.source(search.partner)
    key = f"lambda {target}: {partner}"
    if not isinstance(search.target, ast.Name):
        whole = code.fresh("item")
        key = f"lambda {whole}: next({partner} for {target} in ({whole},))"
    start = f", {search.start}" if search.start else ""
    return [
        code.before(search.loop.statement, f"{table} = Partners(lambda: {search.items}, {key})"),
        code.replace(search.iterated, f"{table}.having(lambda: {code.source(search.own)}{start})"),
    ]


def _searches(code: Code) -> Iterator[Search]:
    for loop in code.all(ast.For):
        if len(loop.body) == 1 and isinstance(loop.body[0], ast.If) and not loop.body[0].orelse:
            function = code.function_around(loop)
            if function and not is_used_after(code, function, loop, names_of(loop.target)):
                yield from _search(code, loop.iter, loop.target, loop.body[0].test, loop)
    for node in code.all(ast.expr):
        if isinstance(node, COMPREHENSIONS):
            for clause in node.generators:
                if clause.ifs:
                    yield from _search(code, clause.iter, clause.target, clause.ifs[0], clause)


def _search(code: Code, iterated: ast.expr, target: ast.expr, test: ast.expr, inner: ast.AST) -> Iterator[Search]:
    items, start = _items(code, iterated)
    own_names = names_of(target)
    if items is None or any(isinstance(each, ast.Starred | ast.Attribute | ast.Subscript) for each in ast.walk(target)):
        return
    for partner, own in _equalities(test):
        if not names_of(partner) & own_names or names_of(own) & own_names:
            continue
        if not _only_looks(code, partner) or not _only_looks(code, own):
            continue
        whole = _whole(code, items, start)
        names = variables_of(code, whole) | (variables_of(code, partner) - own_names)
        loop = settled_loop(code, iterated, names)
        # The key looked for may change from turn to turn of the outer loop, and not within the inner one.
        if loop is None or loop.node is inner or not _is_still(code, inner, own, own_names):
            continue
        yield Search(loop, iterated, target, partner, own, ast.unparse(whole), code.source(start) if start else "")
        return


def _only_looks(code: Code, node: ast.expr) -> bool:
    """Whether an expression computes without going through anything: an iterator in it would be used up."""
    for each in ast.walk(node):
        match each:
            case ast.Call(func=ast.Name(id=name)) if name not in _LOOKS or not code.is_builtin(name):
                return False
            case ast.Call(func=ast.Attribute(attr=method), args=[_, *_]) if method not in ("count", "get", "index"):
                return False
            case ast.Starred() | ast.comprehension() | ast.In() | ast.NotIn():
                return False
    return is_pure_expression(code, node)


def _is_still(code: Code, inner: ast.AST, own: ast.expr, target_names: set[str]) -> bool:
    """Whether all that the inner loop does leaves the key that is looked for as it is."""
    regions = [inner]
    if isinstance(inner, ast.comprehension):
        around = comprehension_around(code, inner)
        regions = [each for each in ast.iter_child_nodes(around) if not isinstance(each, ast.comprehension)]
        regions += around.generators[around.generators.index(inner) :]
    bound = {name for region in regions for node in ast.walk(region) for name in names_bound_by(node)}
    changed = {name for region in regions for name in changes(code, region)}
    return not variables_of(code, own) & (bound | target_names | changed) and None not in changed


def _items(code: Code, iterated: ast.expr) -> tuple[ast.expr | None, ast.expr | None]:
    """What is gone through, and from which place on: `xs`, `xs[i:]`, `range(len(xs))`, `range(i, len(xs))`."""
    match iterated:
        case ast.Name():
            return iterated, None
        case ast.Subscript(value=ast.Name(), slice=ast.Slice(lower=ast.expr() as lower, upper=None, step=None)):
            return (iterated.value, lower) if _is_sum(lower) else (None, None)
        case ast.Call(func=ast.Name(id="range"), args=[ast.expr() as stop], keywords=[]) if code.is_builtin("range"):
            return (iterated, None) if is_pure_expression(code, stop) else (None, None)
        case ast.Call(func=ast.Name(id="range"), args=[lower, stop], keywords=[]) if code.is_builtin("range"):
            plain = _is_place(code, lower) and is_pure_expression(code, stop)
            return (iterated, lower) if plain else (None, None)
    return None, None


def _whole(code: Code, items: ast.expr, start: ast.expr | None) -> ast.expr:
    """What holds the items before the place, too."""
    if isinstance(items, ast.Call) and start is not None:
        return ast.Call(items.func, [items.args[1]], [])
    return items


def _is_sum(node: ast.expr) -> bool:
    match node:
        case ast.Name() | ast.Constant():
            return True
        case ast.BinOp(left=ast.Name(), op=ast.Add(), right=ast.Constant()):
            return True
    return False


def _is_place(code: Code, node: ast.expr) -> bool:
    """Whether it is a whole number that is not negative: a constant, or what a loop over a range counts."""
    match node:
        case ast.Constant(value=value):
            return type(value) is int and value >= 0
        case ast.Name(id=name):
            return _counts(code, node, name)
        case ast.BinOp(left=ast.Name() as left, op=ast.Add(), right=ast.Constant() as right):
            return _is_place(code, left) and _is_place(code, right)
    return False


def _counts(code: Code, node: ast.expr, name: str) -> bool:
    """Whether every place in the function that binds the variable is a loop over a range that begins at 0 or 1."""
    function = code.function_around(node)
    bindings = [each for each in ast.walk(function) if name in names_bound_by(each)] if function else []
    return bool(bindings) and all(_counts_up(code, each) for each in bindings)


def _counts_up(code: Code, binding: ast.AST) -> bool:
    match code.parent(binding):
        case ast.For(iter=numbers) | ast.comprehension(iter=numbers):
            return _is_range(code, numbers)
    return False


def _is_range(code: Code, numbers: ast.expr) -> bool:
    match numbers:
        case ast.Call(func=ast.Name(id="range"), args=[_] | [ast.Constant(value=0 | 1), _], keywords=[]):
            return code.is_builtin("range")
    return False


def _equalities(test: ast.expr) -> Iterator[tuple[ast.expr, ast.expr]]:
    """Both sides of the equality that a test asks first: later parts may rely on it."""
    while isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        test = test.values[0]
    if isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], ast.Eq):
        yield test.left, test.comparators[0]
        yield test.comparators[0], test.left
