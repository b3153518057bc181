"""Speed-ups, one class a module.

A speed-up has a `name` (what it does, in a few words), a `gain` (its usual order of gain where it applies: greater is
tried first) and `edits(code)`. Its docstring shows one edit, as a diff, and calls on which both programs are run: that
is its test. A module put into this folder is found; nothing else has to change.

What it makes does what the program did, for whatever the program is given, exceptions and their moments included, as
far as values keep Python's own promises (equal ones have equal hashes, comparing changes nothing); time, memory and the
depth of the stack do not count.
"""

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

from autodev_learning.proposers.analysis.code import Change, Code


@dataclass(frozen=True)
class Edit:
    """What is done, in words; the changes of the text, and the pieces of support that they need."""

    description: str
    changes: Sequence[Change]
    support: Sequence[str] = ()


class Speedup(ABC):
    """One way to make a program faster."""

    name: ClassVar[str]
    gain: ClassVar[float]

    @abstractmethod
    def edits(self, code: Code) -> Iterator[Edit]:
        """The edits that can be made, in source order."""


@cache
def speedups() -> tuple[Speedup, ...]:
    """Every speed-up of this folder, the greatest gain first."""
    found: list[Speedup] = []
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name):
        members = vars(importlib.import_module(f"{__name__}.{module.name}"))
        found += [
            member()
            for member in members.values()
            if isinstance(member, type) and issubclass(member, Speedup) and member is not Speedup
        ]
    return tuple(sorted(found, key=lambda speedup: -speedup.gain))
