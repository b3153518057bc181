"""Bind a name that is read but was never bound, or read the one that was meant."""

import builtins
from collections.abc import Iterator

import libcst as cst

from autodev_learning.proposers.effects import names_bound, names_read
from autodev_learning.proposers.tree import Edit, Program, Site, rebuilt, statement

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
    """The names that a function reads and that no assignment, loop, parameter or import binds."""
    bound = {*dir(builtins), *program.functions, *names_bound(block)}
    bound |= set(site.function.params) if site.function else set()
    for node in program.module.body:
        bound |= set() if isinstance(node, cst.FunctionDef) else names_bound(node) | names_read(node)
    read = (node.value for inner, node in program.find(cst.Name) if _is_read(inner, site))
    return [name for name in dict.fromkeys(read) if name not in bound]


def _is_read(inner: Site, block: Site) -> bool:
    return inner.path[: len(block.path)] == block.path and inner.field not in ("attr", "keyword", "name")


def _renamed(program: Program, site: Site, name: str, other: str) -> cst.CSTNode:
    block = site.node
    for inner, node in program.find(cst.Name):
        if node.value == name and _is_read(inner, site):
            block = rebuilt(block, inner.path_from(site), cst.Name(other))
    return block
