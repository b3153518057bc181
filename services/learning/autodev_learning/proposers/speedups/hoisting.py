"""Compute before the loop what comes out the same in each of its turns."""

from collections.abc import Iterator
from functools import partial

import libcst as cst

from autodev_learning.proposers.effects import (
    PURE_BUILTINS,
    Loop,
    fresh_name,
    harmless_functions,
    is_pure,
    names_changed,
    names_read,
)
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

NAME = "compute once, before the loop"
GAIN = 20.0

# They take no time, or give something that is used up.
_CHEAP = frozenset(
    {"len", "range", "enumerate", "zip", "map", "filter", "reversed", "isinstance", "bool", "int", "str"}
)


def edits(program: Program) -> Iterator[Edit]:
    for site in program.sites:
        loop = site.node
        if not isinstance(loop, Loop) or site.index is None:
            continue
        for text in _constant_calls(program, loop):
            name = fresh_name(program, f"{text.partition('(')[0].rpartition('.')[2]}_once")
            changed = mapped(loop, partial(_taking, text=text, name=name))
            yield Edit(f"{site.where}: compute `{text}` once", site, (statement(f"{name} = {text}"), changed))


def _taking(node: cst.CSTNode, text: str, name: str) -> Replacement | None:
    return expression(name) if isinstance(node, cst.Call) and source(node) == text else None


def _constant_calls(program: Program, loop: cst.For | cst.While) -> list[str]:
    """The calls in what the loop repeats, outermost first, that depend on nothing the loop changes."""
    changed = names_changed(loop, harmless_functions(program))
    found: dict[str, None] = {}
    repeated = [loop.body] if isinstance(loop, cst.For) else [loop.test, loop.body]
    for part in repeated:
        for node in descendants(part):
            if isinstance(node, cst.Call) and _is_worth_it(program, node) and not (names_read(node) & changed):
                found.setdefault(source(node))
    return list(found)


def _is_worth_it(program: Program, call: cst.Call) -> bool:
    name = source(call.func)
    definition = program.functions.get(name)
    if definition is not None:
        return is_pure(definition, program)
    return name == "re.compile" or (name in PURE_BUILTINS and name not in _CHEAP)
