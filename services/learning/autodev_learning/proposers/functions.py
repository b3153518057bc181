"""Programs put together from functions of several."""

from collections.abc import Iterable, Mapping

import libcst as cst

from autodev_learning.examples import Example, called_names
from autodev_learning.proposers.tree import Program, descendants, source


def definitions(program: Program) -> dict[str, cst.CSTNode]:
    """What the top of a module binds, by name: functions, classes, constants, imports."""
    bound: dict[str, cst.CSTNode] = {}
    for node in program.module.body:
        for name in _names_bound(node):
            bound[name] = node
    return bound


def _names_bound(node: cst.CSTNode) -> Iterable[str]:
    if isinstance(node, cst.FunctionDef | cst.ClassDef):
        return [node.name.value]
    names = []
    for inner in descendants(node) if isinstance(node, cst.SimpleStatementLine) else ():
        if isinstance(inner, cst.AssignTarget) and isinstance(inner.target, cst.Name):
            names.append(inner.target.value)
        elif isinstance(inner, cst.ImportAlias):
            alias = inner.asname.name if inner.asname else inner.name
            names.append(source(alias).partition(".")[0])
    return names


def needed_by(name: str, bound: Mapping[str, cst.CSTNode]) -> dict[str, cst.CSTNode]:
    """The definition of a name and, transitively, of every name that it reads at the top of its module."""
    needed: dict[str, cst.CSTNode] = {}
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current in bound and current not in needed:
            needed[current] = bound[current]
            waiting += [inner.value for inner in descendants(bound[current]) if isinstance(inner, cst.Name)]
    return needed


def combined(donors: Mapping[str, Program]) -> str | None:
    """A program with each named function, and what it needs, from its donor; None where two donors' helpers differ.

    A function that calls another of the named ones gets the one chosen here, not its own donor's.
    """
    chosen: dict[str, cst.CSTNode] = {}
    for entry, program in donors.items():
        for name, node in needed_by(entry, definitions(program)).items():
            if name in donors and name != entry:
                continue
            if name in chosen and source(chosen[name]) != source(node):
                return None
            chosen[name] = node
    if not donors.keys() <= chosen.keys():
        return None
    nodes = list(dict.fromkeys(chosen.values()))
    # Constants and imports may be read while functions are defined (defaults, decorators): they come first.
    nodes.sort(key=lambda node: isinstance(node, cst.FunctionDef | cst.ClassDef))
    return cst.Module(
        [node for node in nodes if isinstance(node, cst.SimpleStatementLine | cst.BaseCompoundStatement)]
    ).code


def examples_about(name: str, examples: Iterable[Example]) -> list[int]:
    """The places of the examples that call a function by name."""
    return [index for index, example in enumerate(examples) if name in called_names([example.call])]
