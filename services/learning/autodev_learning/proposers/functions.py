"""Programs put together from functions of several, as text: comments and layout go along."""

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from autodev_learning.examples import Example, called_names
from autodev_learning.proposers.pieces import Definition


@dataclass(frozen=True, eq=False)
class Statement:
    """A statement at the top of a program: its text, the names that it reads, and what it says whatever its layout."""

    text: str
    reads: frozenset[str]
    said: str
    is_definition: bool


def definitions(code: str) -> dict[str, Statement]:
    """What the top of a module binds, by name: functions, classes, constants, imports. Raises SyntaxError."""
    return {name: statement for node in ast.parse(code).body for name, statement in _bound(code, node)}


def _bound(code: str, node: ast.stmt) -> Iterable[tuple[str, Statement]]:
    names = _names_bound(node)
    if not names:
        return []
    decorators = getattr(node, "decorator_list", ())
    texts = [*(f"@{ast.get_source_segment(code, each)}" for each in decorators), ast.get_source_segment(code, node)]
    reads = frozenset(inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name))
    statement = Statement("\n".join(filter(None, texts)), reads, ast.dump(node), isinstance(node, Definition))
    return [(name, statement) for name in names]


def _names_bound(node: ast.stmt) -> list[str]:
    if isinstance(node, Definition):
        return [node.name]
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [(alias.asname or alias.name).partition(".")[0] for alias in node.names]
    if isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return [
            inner.id
            for target in targets
            for inner in ast.walk(target)
            if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store)
        ]
    return []


def needed_by(name: str, bound: Mapping[str, Statement]) -> dict[str, Statement]:
    """The definition of a name and, transitively, of every name that it reads at the top of its module."""
    needed: dict[str, Statement] = {}
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current in bound and current not in needed:
            needed[current] = bound[current]
            waiting += sorted(bound[current].reads)
    return needed


def combined(donors: Mapping[str, Mapping[str, Statement]]) -> str | None:
    """A program with each named function, and what it needs, from its donor; None where two donors' helpers differ.

    A function that calls another of the named ones gets the one chosen here, not its own donor's.
    """
    chosen: dict[str, Statement] = {}
    for entry, bound in donors.items():
        for name, statement in needed_by(entry, bound).items():
            if name in donors and name != entry:
                continue
            if name in chosen and chosen[name].said != statement.said:
                return None
            chosen[name] = statement
    if not donors.keys() <= chosen.keys():
        return None
    # Constants and imports may be read while functions are defined (defaults, decorators): they come first.
    statements = sorted(chosen.values(), key=lambda statement: statement.is_definition)
    return "\n\n".join(dict.fromkeys(statement.text for statement in statements)) + "\n"


def examples_about(name: str, examples: Iterable[Example]) -> list[int]:
    """The places of the examples that call a function by name."""
    return [index for index, example in enumerate(examples) if name in called_names([example.call])]
