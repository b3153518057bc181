"""Find partners in a table: a loop within a loop that only looks for equal keys goes through all pairs."""

from collections.abc import Iterator

import libcst as cst

from autodev_learning.proposers.effects import (
    fresh_name,
    harmless_functions,
    names_changed,
    names_read,
    outermost_loops,
)
from autodev_learning.proposers.tree import Edit, Program, body_of, descendants, expression, source, statement, swapped

NAME = "look partners up in a table"
GAIN = 60.0


def edits(program: Program) -> Iterator[Edit]:
    for site, outer in outermost_loops(program):
        for inner in descendants(outer.body):
            if not isinstance(inner, cst.For) or not isinstance(inner.iter, cst.Name) or inner.orelse:
                continue
            keys = _keys(inner)
            if keys is None or names_read(inner.iter) & names_changed(outer, harmless_functions(program)):
                continue
            partner_key, own_key = keys
            table = fresh_name(program, f"{inner.iter.value}_by_key")
            target = source(inner.target)
            filling = f"{table}.setdefault({partner_key}, []).append({_whole(target)})"
            made = (
                statement(f"{table} = {{}}"),
                statement(f"for {target} in {source(inner.iter)}:\n    {filling}\n"),
            )
            found = inner.with_changes(iter=expression(f"{table}.get({own_key}, ())"))
            changed = swapped(outer, inner, found)
            description = f"{site.where}: look up `{target}` of `{source(inner.iter)}` by `{partner_key}`"
            yield Edit(description, site, (*made, changed))


def _keys(loop: cst.For) -> tuple[str, str] | None:
    """(key of the inner item, key looked for) where all the loop does is under one `if` that compares them."""
    body = body_of(loop.body)
    if len(body) != 1 or not isinstance(body[0], cst.If) or body[0].orelse:
        return None
    own = names_read(loop.target)
    if own & names_changed(loop.body):
        return None
    for left, right in _equalities(body[0].test):
        for partner, other in ((left, right), (right, left)):
            reads = names_read(partner)
            is_of_partner = bool(reads) and reads <= own and not _has_calls(partner)
            if is_of_partner and not names_read(other) & (own | names_changed(loop.body)):
                return source(partner), source(other)
    return None


def _equalities(test: cst.BaseExpression) -> Iterator[tuple[cst.BaseExpression, cst.BaseExpression]]:
    """The equalities of a conjunction's first part: later parts may rely on it."""
    while isinstance(test, cst.BooleanOperation) and isinstance(test.operator, cst.And):
        test = test.left
    if not isinstance(test, cst.Comparison) or len(test.comparisons) != 1:
        return
    if isinstance(test.comparisons[0].operator, cst.Equal):
        yield test.left, test.comparisons[0].comparator


def _has_calls(node: cst.CSTNode) -> bool:
    return any(isinstance(inner, cst.Call) for inner in descendants(node))


def _whole(target: str) -> str:
    return f"({target})" if "," in target and not target.startswith("(") else target
