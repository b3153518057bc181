"""Repair operators, one module each, with the same three members:

- `NAME`: what the operator does, in a few words;
- `PRIOR`: how often it mends a program, relative to the others: the search tries it as often;
- `edits(program)`: the edits it can make, in source order.

A module put into this folder is found; nothing else has to change.
"""

import importlib
import pkgutil
from collections.abc import Iterator
from functools import cache
from typing import Protocol, cast

from autodev_learning.proposers.tree import Edit, Program


class Operator(Protocol):
    """A module of this folder."""

    NAME: str
    PRIOR: float

    def edits(self, program: Program) -> Iterator[Edit]: ...


@cache
def operators() -> tuple[Operator, ...]:
    """Every operator of this folder, by module name."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return tuple(cast(Operator, importlib.import_module(f"{__name__}.{name}")) for name in names)
