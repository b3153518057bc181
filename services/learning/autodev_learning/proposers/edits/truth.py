"""Decide by a name's value: compare a counter, ask for membership."""

from collections.abc import Iterator

import libcst as cst

from autodev_learning.proposers.tree import Edit, Function, Program, replace_expression, source

NAME = "decide by another test"
PRIOR = 2.0
# Names are tested in pairs: without a limit, a long function would have thousands of edits.
MOST_NAMES = 6


def edits(program: Program) -> Iterator[Edit]:
    for site in program.sites:
        parent = site.parent.node if site.parent else None
        if not isinstance(site.node, cst.BaseExpression) or site.function is None:
            continue
        if isinstance(parent, cst.If | cst.While) and site.field == "test":
            for test in tests_of(site.function):
                if test != source(site.node):
                    yield replace_expression(site, test)
        elif isinstance(parent, cst.Return) and source(site.node) in ("True", "False"):
            for test in tests_of(site.function):
                yield replace_expression(site, test)


def tests_of(function: Function) -> Iterator[str]:
    names = function.names[:MOST_NAMES]
    for name in names:
        yield from (f"{name} == 1", f"{name} > 0", f"{name} == 0", f"not {name}")
        for other in names:
            if other != name:
                yield from (f"{name} in {other}", f"{name} not in {other}", f"{name} == {other}")
