"""How sure a median is: the bootstrap's interval, computed exactly.

The bootstrap draws samples of the same size from the sample, with replacement, and looks at how far their medians
spread. For a median no drawing is needed: the median of a drawn sample is one of the values, and with which probability
it is at most the k-th of n is a binomial tail (Efron, "Bootstrap methods: another look at the jackknife", 1979, section
3). So the interval depends on the numbers alone, and the same runs always give the same.

Where a sample has two middle values, the lower one bounds from below and the upper one from above: the wider interval.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import median


@dataclass(frozen=True, slots=True)
class Interval:
    """A median, and the interval that holds the bootstrap's medians with a probability of `confidence` at least."""

    median: float
    low: float
    high: float
    confidence: float


def median_interval(values: Sequence[float], confidence: float) -> Interval:
    """The interval of the values' median; of few values it is their whole range."""
    ordered = sorted(values)
    rank = _upper_rank(len(ordered), confidence)
    return Interval(median(ordered), ordered[-rank], ordered[rank - 1], confidence)


@lru_cache(maxsize=1024)
def _upper_rank(count: int, confidence: float) -> int:
    """The least k (from 1) such that the upper median of a drawn sample is at most the k-th value, sure enough."""
    needed = 1 - (1 - confidence) / 2
    middle = count // 2 + 1
    low, high = middle, count
    while low < high:
        rank = (low + high) // 2
        if _at_least(middle, count, rank / count) >= needed:
            high = rank
        else:
            low = rank + 1
    return low


def _at_least(least: int, count: int, probability: float) -> float:
    """The probability of `least` or more successes in `count` trials of a `probability` between 0 and 1."""
    yes, no = math.log(probability), math.log1p(-probability)
    whole = math.lgamma(count + 1)
    return math.fsum(
        math.exp(whole - math.lgamma(wins + 1) - math.lgamma(count - wins + 1) + wins * yes + (count - wins) * no)
        for wins in range(least, count + 1)
    )
