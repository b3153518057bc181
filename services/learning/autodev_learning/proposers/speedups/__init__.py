"""Speed-ups, one module each, with the same three members:

- `NAME`: what the speed-up does, in a few words;
- `GAIN`: its usual order of gain where it applies, for the order of trying: greater first;
- `edits(program)`: the edits it can make, in source order.

A module put into this folder is found; nothing else has to change.
"""

import importlib
import pkgutil
from collections.abc import Iterator
from functools import cache
from typing import Protocol, cast

from autodev_learning.proposers.tree import Edit, Program


class Speedup(Protocol):
    """A module of this folder."""

    NAME: str
    GAIN: float

    def edits(self, program: Program) -> Iterator[Edit]: ...


@cache
def speedups() -> tuple[Speedup, ...]:
    """Every speed-up of this folder, the greatest gain first."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))
    modules = [cast(Speedup, importlib.import_module(f"{__name__}.{name}")) for name in names]
    return tuple(sorted(modules, key=lambda module: -module.GAIN))
