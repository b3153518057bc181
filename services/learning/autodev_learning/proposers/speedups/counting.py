"""Count once: `items.count(x)` or `items.index(x)` within a loop looks through all the items each time."""

from collections.abc import Iterator
from functools import partial

import libcst as cst

from autodev_learning.proposers.effects import fresh_name, harmless_functions, names_changed, outermost_loops
from autodev_learning.proposers.tree import (
    Edit,
    Program,
    Replacement,
    descendants,
    expression,
    mapped,
    source,
    statement,
)

NAME = "count or find once, before the loop"
GAIN = 40.0

_POSITIONS = """\
{table} = {{}}
for {place}, {item} in enumerate({name}):
    {table}.setdefault({item}, {place})
"""


def edits(program: Program) -> Iterator[Edit]:
    for site, loop in outermost_loops(program):
        for name, method in _asked(loop):
            if name in names_changed(loop, harmless_functions(program)):
                continue
            table = fresh_name(program, f"{name}_{'counts' if method == 'count' else 'places'}")
            changed = mapped(loop, partial(_asking, name=name, method=method, table=table))
            made = _counts(program, table, name) if method == "count" else _places(program, table, name)
            yield Edit(f"{site.where}: make a table for `{name}.{method}`", site, (*made, changed))


def _asked(loop: cst.CSTNode) -> list[tuple[str, str]]:
    found: dict[tuple[str, str], None] = {}
    for node in descendants(loop):
        if isinstance(node, cst.Call) and isinstance(node.func, cst.Attribute) and len(node.args) == 1:
            name, method = source(node.func.value), node.func.attr.value
            if name.isidentifier() and method in ("count", "index"):
                found.setdefault((name, method))
    return list(found)


def _asking(node: cst.CSTNode, name: str, method: str, table: str) -> Replacement | None:
    if isinstance(node, cst.Call) and source(node.func) == f"{name}.{method}" and len(node.args) == 1:
        key = source(node.args[0].value)
        return expression(f"{table}.get({key}, 0)" if method == "count" else f"{table}[{key}]")
    return None


def _counts(program: Program, table: str, name: str) -> list[cst.BaseStatement]:
    item = fresh_name(program, "item")
    counting = f"for {item} in {name}:\n    {table}[{item}] = {table}.get({item}, 0) + 1\n"
    return [statement(f"{table} = {{}}"), statement(counting)]


def _places(program: Program, table: str, name: str) -> list[cst.BaseStatement]:
    text = _POSITIONS.format(
        table=table, name=name, item=fresh_name(program, "item"), place=fresh_name(program, "place")
    )
    first, _, rest = text.partition("\n")
    return [statement(first), statement(rest)]
