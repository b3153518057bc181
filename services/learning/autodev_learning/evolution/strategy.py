"""A normal distribution of a program's numbers that learns from what it gave.

The covariance matrix adaptation evolution strategy (CMA-ES) as Hansen's tutorial states it (arXiv:1604.00772).

The factor of the covariance is Cholesky's, in whose axes the step size's path is kept (Krause, Arbonès and Igel, 2016,
"CMA-ES with optimal covariance update and storage complexity"). Past MOST_CORRELATED numbers the covariance is diagonal
and learns faster for it (Ros and Hansen, 2008, "A simple modification in CMA-ES achieving linear time and space
complexity").

Everything is in plain Python, in a fixed order: the same told gives the same state to the last bit, on every machine
whose C library agrees on `exp` and `log`.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

DRAWS = "covariance"
"""The operator that draws from it."""
FIRST_STEP = 0.3
"""The first step size, in parts of a number's scale."""
MOST_CORRELATED = 40
MOST_NUMBERS = 2000
MOST_DOUBLINGS = 4
CONVERGED, DIVERGED = 1e-10, 1e8
"""Steps, in parts of a number's scale, below and above which nothing more is found."""

Triangle = list[list[float]]
"""The rows of a lower triangle; of a diagonal matrix, each row is its last element."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """What numbers are drawn from: mean + sigma * factor * standard normal ones."""

    mean: tuple[float, ...]
    sigma: float
    factor: Triangle

    def draw(self, chance: random.Random) -> list[float]:
        """Numbers by lot."""
        normal = [chance.gauss(0, 1) for _ in self.mean]
        return [at + self.sigma * each for at, each in zip(self.mean, _times(self.factor, normal), strict=True)]


@dataclass(frozen=True, slots=True)
class Rates:
    """The constants of so many numbers and draws a generation (the tutorial's table 1, without negative weights)."""

    numbers: int
    weights: tuple[float, ...]
    effective: float
    c_sigma: float
    damping: float
    c_path: float
    c_one: float
    c_mu: float

    @property
    def expected(self) -> float:
        """The length of a vector of so many standard normal numbers."""
        n = self.numbers
        return math.sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n * n))


@lru_cache(maxsize=256)
def rates_for(n: int, draws: int) -> Rates:
    """The constants, worked out once."""
    raw = [math.log((draws + 1) / 2) - math.log(rank) for rank in range(1, draws // 2 + 1)]
    weights = tuple(each / sum(raw) for each in raw)
    effective = 1 / sum(each * each for each in weights)
    c_sigma = (effective + 2) / (n + effective + 5)
    # Ros and Hansen: what has n parameters instead of n² may learn (n + 2) / 3 times as fast.
    faster = (n + 2) / 3 if n > MOST_CORRELATED else 1.0
    c_one = min(0.5, faster * 2 / ((n + 1.3) ** 2 + effective))
    return Rates(
        numbers=n,
        weights=weights,
        effective=effective,
        c_sigma=c_sigma,
        damping=1 + 2 * max(0.0, math.sqrt((effective - 1) / (n + 1)) - 1) + c_sigma,
        c_path=(4 + effective / n) / (n + 4 + 2 * effective / n),
        c_one=c_one,
        c_mu=min(1 - c_one, faster * 2 * (effective - 2 + 1 / effective) / ((n + 2) ** 2 + effective)),
    )


class Strategy:
    """One run of the evolution strategy: told what draws were worth, it moves, turns and scales its distribution."""

    def __init__(
        self, mean: Sequence[float], scales: Sequence[float], doublings: int = 0, first_step: float = FIRST_STEP
    ) -> None:
        n = len(mean)
        self._draws = (4 + int(3 * math.log(n))) * 2 ** min(doublings, MOST_DOUBLINGS)
        self._scales = tuple(scales)
        self._mean = list(mean)
        self._sigma = first_step
        self._covariance: Triangle = [
            [0.0] * (row if n <= MOST_CORRELATED else 0) + [scale * scale] for row, scale in enumerate(scales)
        ]
        self._factor = _factored(self._covariance) or []
        self._sigma_path, self._path = [0.0] * n, [0.0] * n
        self._told: list[tuple[float, list[float]]] = []
        self._generation = self._better_at = 0
        self._best = -math.inf

    @property
    def distribution(self) -> Distribution:
        """What the next are drawn from."""
        return Distribution(tuple(self._mean), self._sigma, self._factor)

    @property
    def is_over(self) -> bool:
        """Whether it found nothing better for long (the tutorial's stagnation), or its steps are no longer any."""
        patience = 10 + math.ceil(30 * len(self._mean) / self._draws)
        deviations = (self._sigma * math.sqrt(row[-1]) for row in self._covariance)
        return self._generation - self._better_at > patience or not any(
            CONVERGED * scale < each < DIVERGED * scale for each, scale in zip(deviations, self._scales, strict=True)
        )

    def tell(self, numbers: Sequence[float], fitness: float) -> None:
        """What numbers were worth that were drawn since it last learnt, higher being better; -inf for none."""
        step = [(each - at) / self._sigma for each, at in zip(numbers, self._mean, strict=True)]
        self._told.append((fitness, step))

    def learn(self) -> None:
        """Learn from what was told, once it is a generation. All of it was drawn from the same, however much it is."""
        if 3 * len(self._told) < 2 * self._draws:
            return
        rates = rates_for(len(self._mean), len(self._told))
        # The sort is stable: of equals the later first, so that it drifts where all is equal.
        self._told.reverse()
        best = sorted(self._told, key=lambda each: -each[0])[: len(rates.weights)]
        self._told = []
        self._generation += 1
        if best[0][0] > self._best:
            self._best, self._better_at = best[0][0], self._generation
        steps = [step for _, step in best]
        moved = [_weighted(rates.weights, axis) for axis in zip(*steps, strict=True)]
        self._mean = [at + self._sigma * each for at, each in zip(self._mean, moved, strict=True)]
        heads_on = self._paths(rates, moved)
        self._turn(rates, steps, heads_on)

    def _paths(self, c: Rates, moved: Sequence[float]) -> bool:
        """The tutorial's paths and step size; whether the path is short enough for the covariance to learn from it."""
        keep, add = 1 - c.c_sigma, math.sqrt(c.c_sigma * (2 - c.c_sigma) * c.effective)
        turned = _solved(self._factor, moved)
        self._sigma_path = [keep * path + add * each for path, each in zip(self._sigma_path, turned, strict=True)]
        length = math.hypot(*self._sigma_path)
        self._sigma *= math.exp(min(1.0, c.c_sigma / c.damping * (length / c.expected - 1)))
        limit = (1.4 + 2 / (c.numbers + 1)) * c.expected
        heads_on = length / math.sqrt(1 - keep ** (2 * self._generation)) < limit
        keep, add = 1 - c.c_path, math.sqrt(c.c_path * (2 - c.c_path) * c.effective) * heads_on
        self._path = [keep * path + add * each for path, each in zip(self._path, moved, strict=True)]
        return heads_on

    def _turn(self, c: Rates, steps: Sequence[Sequence[float]], heads_on: bool) -> None:
        """The rank-one and rank-mu updates, unless what they give has no factor."""
        path = self._path
        keep = 1 - c.c_one - c.c_mu + (0.0 if heads_on else c.c_one * c.c_path * (2 - c.c_path))
        covariance = []
        for i, row in enumerate(self._covariance):
            first = i + 1 - len(row)
            covariance.append(
                [
                    keep * row[j - first]
                    + c.c_one * path[i] * path[j]
                    + c.c_mu * _weighted(c.weights, [step[i] * step[j] for step in steps])
                    for j in range(first, i + 1)
                ]
            )
        factor = _factored(covariance)
        if factor is not None:
            self._covariance, self._factor = covariance, factor


def _weighted(weights: Sequence[float], values: Sequence[float]) -> float:
    return sum(weight * value for weight, value in zip(weights, values, strict=True))


def _factored(matrix: Triangle) -> Triangle | None:
    """Cholesky's factor; None of a matrix that is not positive definite, as far as rounding goes."""
    factor: Triangle = []
    for i, row in enumerate(matrix):
        made: list[float] = []
        first = i + 1 - len(row)
        for j in range(first, i):
            other = factor[j]
            made.append((row[j] - sum(a * b for a, b in zip(made, other, strict=False))) / other[-1])
        rest = row[-1] - sum(each * each for each in made)
        if not 0 < rest < math.inf:
            return None
        factor.append([*made, math.sqrt(rest)])
    return factor


def _times(factor: Triangle, vector: Sequence[float]) -> list[float]:
    return [sum(a * b for a, b in zip(row, vector[i + 1 - len(row) :], strict=False)) for i, row in enumerate(factor)]


def _solved(factor: Triangle, vector: Sequence[float]) -> list[float]:
    """The vector that the factor makes this one of."""
    found: list[float] = []
    for i, row in enumerate(factor):
        known = sum(a * b for a, b in zip(row[:-1], found[i + 1 - len(row) :], strict=False))
        found.append((vector[i] - known) / row[-1])
    return found
