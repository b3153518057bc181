"""Leave something out: a statement, a branch, or the condition around one."""

from collections.abc import Iterator

import libcst as cst

from autodev_learning.proposers.tree import Edit, Program, Site, source

NAME = "delete a statement or a branch"
PRIOR = 3.0


def edits(program: Program) -> Iterator[Edit]:
    for site in program.sites:
        node = site.node
        is_definition = isinstance(node, cst.FunctionDef | cst.ClassDef)
        if (
            isinstance(node, cst.BaseStatement)
            and not is_definition
            and site.field == "body"
            and site.index is not None
        ):
            yield Edit(f"{site.where}: delete `{source(node).splitlines()[0]}`", site, ())
        if isinstance(node, cst.If):
            yield from _unwrapped(site, node)
        if isinstance(node, cst.Else) and site.parent is not None and isinstance(node.body, cst.IndentedBlock):
            parent = site.parent
            if parent.index is not None:
                without = parent.node.with_changes(orelse=None)
                yield Edit(f"{site.where}: delete the `else`", site, ())
                yield Edit(f"{site.where}: take `else` away from its body", parent, (without, *node.body.body))


def _unwrapped(site: Site, node: cst.If) -> Iterator[Edit]:
    heading = source(node).splitlines()[0]
    if site.index is not None and isinstance(node.body, cst.IndentedBlock):
        yield Edit(f"{site.where}: take `{heading}` away from its body", site, tuple(node.body.body))
    if site.field == "orelse":
        yield Edit(f"{site.where}: delete the branch `el{heading}`", site, node.orelse if node.orelse else ())
        yield Edit(f"{site.where}: `else` for `el{heading}`", site, cst.Else(node.body))
    elif isinstance(node.orelse, cst.If):
        yield Edit(f"{site.where}: delete the branch `{heading}`", site, node.orelse)
