"""A MAP-Elites archive (Mouret and Clune, 2015): the fittest programs of each kind.

The kinds are by features that never change once a program is evaluated, so that a cell's best stays its best: size,
speed against the original, and distance from the original's syntax tree. A cell is a few programs deep (Flageat and
Cully, 2020): programs that differ in their numbers alone are of one kind, and crossing them needs more than one.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from autodev_learning.evolution.individuals import Individual

Cell = tuple[int, int, int]

MOST_BINS = 8


class Place(Enum):
    """What became of a program that was put into an archive."""

    NEW = "the first of its kind"
    BETTER = "better than every other of its kind"
    KEPT = "among the fittest of its kind"
    REFUSED = "not among the fittest of its kind"


@dataclass(frozen=True, slots=True)
class Grid:
    """The kinds of programs, against an original: sizes and speeds by steps of a factor, distances by equal parts."""

    size: int = 1
    latency_s: float = 0.0
    size_factor: float = 1.5
    speed_factor: float = 2.0
    distances: int = 4

    def cell(self, individual: Individual) -> Cell:
        """The kind that a program is of. Where no time was measured, speed is no feature."""
        latency_s = individual.evaluation.latency_s
        speed = _steps(latency_s / self.latency_s, self.speed_factor) if latency_s and self.latency_s else 0
        far = min(self.distances - 1, int(individual.novelty * self.distances))
        return _steps(individual.size / self.size, self.size_factor), speed, far


def _steps(ratio: float, factor: float) -> int:
    """How many steps of a factor a ratio is from 1, at most MOST_BINS to a side."""
    if ratio <= 0:
        return -MOST_BINS
    return max(-MOST_BINS, min(MOST_BINS, round(math.log(ratio, factor))))


@dataclass
class Archive:
    """One island's programs: the `depth` fittest of each kind, fittest first."""

    grid: Grid
    depth: int = 1
    cells: dict[Cell, list[Individual]] = field(default_factory=dict)

    def put(self, individual: Individual) -> Place:
        """Take a program in if it is among the fittest of its kind.

        Of equals the one made last comes first: that a search drifts where all is equal is what brings it off plateaus
        (Jansen and Wegener, 2001, "Evolutionary algorithms: how to cope with plateaus of constant fitness").
        """
        cell = self.cells.setdefault(self.grid.cell(individual), [])
        at = sum(rank(each) < rank(individual) for each in cell)
        if at == self.depth or individual in cell:
            return Place.REFUSED
        is_new, is_better = not cell, bool(cell) and individual.fitness > cell[0].fitness
        cell.insert(at, individual)
        del cell[self.depth :]
        if is_new:
            return Place.NEW
        return Place.BETTER if is_better else Place.KEPT

    @property
    def individuals(self) -> Iterable[Individual]:
        """All that is kept."""
        return (individual for cell in self.cells.values() for individual in cell)

    @property
    def best(self) -> Individual | None:
        """The fittest; of equals the one made last."""
        return min((cell[0] for cell in self.cells.values()), key=rank, default=None)


def fittest(individuals: Iterable[Individual]) -> list[Individual]:
    """The fittest first; of equals the one made last."""
    return sorted(individuals, key=rank)


def rank(individual: Individual) -> tuple[float, int]:
    """What programs are ordered by."""
    return -individual.fitness, -individual.number
