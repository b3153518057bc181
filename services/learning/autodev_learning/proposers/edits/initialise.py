"""Bind a name that is read but was never bound, or read the one that was meant."""

import builtins
from collections.abc import Iterator

import libcst as cst

from autodev_learning.proposers.tree import Edit, Program, Site, descendants, rebuilt, statement

NAME = "bind an unbound name"
PRIOR = 8.0

_STARTS = ("0", "[]", "()", "''", "{}", "set()", "None", "True", "False")


def edits(program: Program) -> Iterator[Edit]:
    for site, block in program.find(cst.IndentedBlock):
        if site.function is None or not site.parent or not isinstance(site.parent.node, cst.FunctionDef):
            continue
        for name in unbound(program, site, block):
            for start in _STARTS:
                body = [statement(f"{name} = {start}"), *block.body]
                yield Edit(f"{site.where}: start with `{name} = {start}`", site, block.with_changes(body=body))
            for other in (*site.function.names, *program.functions):
                if other != name:
                    renamed = _renamed(program, site, name, other)
                    yield Edit(f"{site.where}: `{other}` for each `{name}`", site, renamed)


def unbound(program: Program, site: Site, block: cst.IndentedBlock) -> list[str]:
    """The names that a function reads before any plain assignment, loop or parameter binds them."""
    bound = {*dir(builtins), *(site.function.params if site.function else ()), *program.functions}
    read: dict[str, None] = {}
    for node in descendants(block):
        if isinstance(node, cst.AssignTarget | cst.For | cst.CompFor):
            bound |= {inner.value for inner in descendants(node.target) if isinstance(inner, cst.Name)}
    for inner, name in program.find(cst.Name):
        if inner.function is site.function and inner.field not in ("attr", "keyword", "name"):
            read.setdefault(name.value)
    module_names = {
        inner.value
        for line in program.module.body
        if isinstance(line, cst.SimpleStatementLine)
        for inner in descendants(line)
        if isinstance(inner, cst.Name)
    }
    return [name for name in read if name not in bound and name not in module_names]


def _renamed(program: Program, site: Site, name: str, other: str) -> cst.CSTNode:
    block = site.node
    for inner, node in program.find(cst.Name):
        if node.value == name and inner.function is site.function and inner.field not in ("attr", "keyword"):
            block = rebuilt(block, inner.path_from(site), cst.Name(other))
    return block
