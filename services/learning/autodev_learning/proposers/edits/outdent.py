"""Move the last statement of a block out of the loop or branch around it: a `return` that came a line too early."""

from collections.abc import Iterator

import libcst as cst

from autodev_learning.proposers.tree import Compound, Edit, Program, Site, rebuilt, source

NAME = "move a statement out of its block"
PRIOR = 8.0


def edits(program: Program) -> Iterator[Edit]:
    for site in program.sites:
        if (
            site.field != "body"
            or site.index is None
            or site.parent is None
            or not isinstance(site.node, cst.BaseStatement)
        ):
            continue
        for around in _compounds_around(site):
            without = rebuilt(around.node, site.path_from(around), ())
            first_line = source(site.node).splitlines()[0]
            heading = source(around.node).splitlines()[0]
            yield Edit(f"{site.where}: move `{first_line}` behind `{heading}`", around, (without, site.node))
            yield Edit(f"{site.where}: move `{first_line}` before `{heading}`", around, (site.node, without))


def _compounds_around(site: Site) -> Iterator[Site]:
    """The statements around the site, up to its function, that stand in a sequence of statements."""
    for around in site.ancestors:
        if isinstance(around.node, cst.FunctionDef | cst.ClassDef | cst.Module):
            return
        if isinstance(around.node, Compound) and around.index is not None and _has_more(around, site):
            yield around


def _has_more(around: Site, site: Site) -> bool:
    """Whether something is left in the compound without the site (or the site stood in an `else`, which then goes)."""
    body = around.node.body if isinstance(around.node, Compound) else None
    path = site.path_from(around)
    return path[0][0] == "orelse" or (body is not None and len(body.body) > 1) or len(path) > 2
