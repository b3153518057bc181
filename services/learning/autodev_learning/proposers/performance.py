"""Faster programs that do the same: candidate mutations of a slow one.

Each mutation keeps the behaviour for what it can see of the program; what it cannot see (a type with an equality of its
own, an order that somebody relies on) the comparison with the original decides.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import libcst as cst

from autodev_learning.proposers.speedups import speedups
from autodev_learning.proposers.tree import CannotEdit, Edit, Program
from autodev_learning.proposers.trials import is_python

MAX_TOGETHER = 8


@dataclass(frozen=True)
class Mutation:
    """A changed program: the kind of change (`name`), and what was changed where, in words."""

    name: str
    description: str
    code: str


def performance_mutations(code: str) -> Iterator[Mutation]:
    """Give mutations of the code, those first that gain most where they apply; none for code that is no Python.

    Where several apply, one that makes as many as can be made together comes first. Every mutation parses.
    """
    try:
        program = Program(code)
    except cst.ParserSyntaxError:
        return
    single = list(_mutations(program))
    together = _together(code)
    if together and all(together.code != mutation.code for mutation in single):
        yield together
    yield from single


def _mutations(program: Program) -> Iterator[Mutation]:
    seen = {program.code}
    for speedup in speedups():
        for edit in speedup.edits(program):
            code = _applied(program, edit)
            if code is not None and code not in seen:
                seen.add(code)
                yield Mutation(speedup.NAME, edit.description, code)


def _together(code: str) -> Mutation | None:
    """Make the first mutation, the first of what that gives, and so on."""
    made: list[Mutation] = []
    while len(made) < MAX_TOGETHER:
        mutation = next((each for each in _mutations(Program(code)) if not _undoes(each, made)), None)
        if mutation is None:
            break
        made.append(mutation)
        code = mutation.code
    if len(made) < 2:
        return None
    names = dict.fromkeys(mutation.name for mutation in made)
    return Mutation(", ".join(names), "; ".join(mutation.description for mutation in made), code)


def _undoes(mutation: Mutation, made: list[Mutation]) -> bool:
    return any(mutation.description == earlier.description for earlier in made)


def _applied(program: Program, edit: Edit) -> str | None:
    try:
        code = program.apply(edit)
    except CannotEdit:
        return None
    return code if is_python(code) else None
