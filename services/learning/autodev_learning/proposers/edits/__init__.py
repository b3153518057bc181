"""Repair operators, one class a module: what the search tries on a program.

An operator has a `name` (what it does, in a few words), a `prior` (how often it mends a program, relative to the
others: its edits are tried as early) and `edits(piece)`. Its docstring shows one edit, as a diff, which is its test. A
module put into this folder is found; nothing else has to change.
"""

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import cache
from typing import ClassVar

from autodev_learning.proposers.pieces import Edit, Piece


class Operator(ABC):
    """One way to edit a program."""

    name: ClassVar[str]
    prior: ClassVar[float] = 1.0

    @abstractmethod
    def edits(self, piece: Piece) -> Iterator[Edit]:
        """The edits that can be made of a piece, in source order; not each of them makes Python."""


@cache
def operators() -> tuple[Operator, ...]:
    """Every operator of this folder, by module name."""
    found: list[Operator] = []
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name):
        members = vars(importlib.import_module(f"{__name__}.{module.name}"))
        found += [
            member()
            for member in members.values()
            if isinstance(member, type) and issubclass(member, Operator) and member is not Operator
        ]
    return tuple(found)
