"""Use another name of the same function: a parameter or a variable that was meant instead."""

from collections.abc import Iterator

import libcst as cst

from autodev_learning.proposers.tree import Edit, Program, Site, replace_expression

NAME = "use another variable"
PRIOR = 3.0


def edits(program: Program) -> Iterator[Edit]:
    for site, name in program.find(cst.Name):
        if site.function is None or not _is_read(site):
            continue
        for other in site.function.names:
            if other != name.value:
                yield replace_expression(site, other)


def _is_read(site: Site) -> bool:
    parent = site.parent.node if site.parent else None
    if isinstance(parent, cst.Attribute):
        return site.field == "value"
    if isinstance(parent, cst.Arg):
        return site.field == "value"
    return not isinstance(parent, cst.Param | cst.FunctionDef | cst.AssignTarget) and site.field not in (
        "func",
        "target",
    )
