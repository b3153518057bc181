"""The rows: each group is a module with its `BARS` by name, and `measure`, which gives the rows asked for, by name."""

from collections.abc import Collection, Mapping
from typing import Final, Protocol

from benchmarks.figures import Bar, Row
from benchmarks.learning import optimum, overhead, proof, reflection, repair, repair_classic, repair_foreign, speedups
from benchmarks.learning.effort import Effort


class Group(Protocol):
    """Rows that are measured together."""

    @property
    def BARS(self) -> Mapping[str, Bar]: ...

    async def measure(self, names: Collection[str], effort: Effort) -> Mapping[str, Row]:
        """Measure the group's rows that are named."""


GROUPS: Final[tuple[Group, ...]] = (
    repair,
    repair_classic,
    repair_foreign,
    speedups,
    reflection,
    proof,
    overhead,
    optimum,
)
BARS: Final = {name: bar for group in GROUPS for name, bar in group.BARS.items()}


class Measurement:
    """One run: the rows that are asked for, by name."""

    def __init__(self, names: Collection[str], effort: Effort) -> None:
        self.names = names
        self.effort = effort
        self.rows: dict[str, Row] = {}

    async def run(self) -> None:
        """Measure one group after the other."""
        for group in GROUPS:
            names = [name for name in group.BARS if name in self.names]
            if names:
                self.rows.update(await group.measure(names, self.effort))
