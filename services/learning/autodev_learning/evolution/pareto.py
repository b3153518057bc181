"""The programs that no other program beats: fewer tokens, less time, less memory, shorter, or more often right."""

from collections.abc import Iterable
from dataclasses import dataclass

from autodev_learning.evolution.individuals import Individual, Stage

MOST_ON_FRONT = 64


@dataclass(frozen=True, slots=True)
class Objectives:
    """What a program is good at. `quality` is to be high, everything else low."""

    quality: float
    latency_s: float = 0.0
    memory_bytes: int = 0
    tokens: int = 0
    size: int = 0

    @property
    def costs(self) -> tuple[float, ...]:
        """All of them, the less the better."""
        return -self.quality, self.latency_s, self.memory_bytes, self.tokens, self.size


def dominates(left: Objectives, right: Objectives) -> bool:
    """Whether one is nowhere worse and somewhere better."""
    pairs = list(zip(left.costs, right.costs, strict=True))
    return all(ours <= theirs for ours, theirs in pairs) and any(ours < theirs for ours, theirs in pairs)


def objectives_of(individual: Individual) -> Objectives:
    """What an evaluated program is good at."""
    found = individual.evaluation
    return Objectives(found.quality, found.latency_s, found.memory_bytes, individual.offer.tokens, individual.size)


def front_of(individuals: Iterable[Individual]) -> list[Individual]:
    """The programs that none dominates, best quality first, one for each set of objectives; so many at most."""
    front: dict[Objectives, Individual] = {}
    for individual in individuals:
        if individual.evaluation.stage not in (Stage.DONE, Stage.TIMING):
            continue
        mine = objectives_of(individual)
        if mine in front or any(dominates(other, mine) for other in front):
            continue
        front = {other: each for other, each in front.items() if not dominates(mine, other)}
        front[mine] = individual
    best_first = sorted(front.items(), key=lambda item: (item[0].costs, item[1].number))
    return [individual for _, individual in best_first[:MOST_ON_FRONT]]
