"""Whether a variant is better than the original, by runs on the same inputs, taken in turns.

Correctness first: right on more inputs wins, on fewer loses. Right on as many, it must be faster or cheaper *beyond
the noise*, and not worse in the other.

The runs are pairs: the i-th of both had the same input and ran one after the other, so that what slows the machine
slows both. The figure is the median of the pairs' ratios, since one stalled run means nothing; `interval` says how sure
it is. A variant counts as faster when all of these hold:

- the interval excludes no change: its upper end is below 1;
- the median shows a gain of at least `least_gain`;
- all runs together took no longer, so that a gain on small inputs does not hide a loss on a large one.

An equal variant passes by luck in less than one comparison of twenty, however its times are spread: with `confidence`
0.98 the interval excludes 1 only where so many pairs were won that coins would do it with a probability of at most
0.033 (5 pairs of 5, 9 of 10, 13 of 16; worst at 11 pairs, 9 of them won). Fewer than five pairs cannot be that sure.
With those, only an obvious gain counts: every pair at `obvious_ratio` or less. Tokens are counted, not sampled: fewer
by `least_gain` is cheaper.

Everything is computed from the numbers alone: the same runs always give the same answer.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from autodev_fitness.interval import Interval, median_interval

# Below what a clock resolves; keeps ratios finite.
LEAST_SECONDS = 1e-9
LEAST_PAIRS = 5
"""Of fewer pairs an equal variant wins all with a probability above one in twenty."""


@dataclass(frozen=True, slots=True)
class ComparisonRules:
    """What counts as more than noise."""

    least_gain: float = 0.05
    confidence: float = 0.98
    obvious_ratio: float = 0.5


@dataclass(frozen=True, slots=True)
class Runs:
    """One variant's runs: seconds of each, inputs that were right, inputs in all, tokens of all runs."""

    seconds: tuple[float, ...]
    correct: int
    total: int
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Comparison:
    """The answer. `time` tells what the variant's runs took of the original's, pair by pair, and how sure that is."""

    time: Interval
    wins: bool
    explanation: str


DEFAULT_RULES = ComparisonRules()


def compare(variant: Runs, baseline: Runs, rules: ComparisonRules = DEFAULT_RULES) -> Comparison:
    """Compare a variant's runs with the original's: as many runs, on the same inputs, in the same order."""
    ratios = [_ratio(mine, other) for mine, other in zip(variant.seconds, baseline.seconds, strict=True)]
    time = median_interval(ratios, rules.confidence)
    wins, explanation = _verdict(variant, baseline, ratios, time, rules)
    return Comparison(time, wins, f"{explanation}; {_stated(time, len(ratios))}")


def _stated(time: Interval, pairs: int) -> str:
    sure = f"{time.confidence:.0%} sure of" if pairs >= LEAST_PAIRS else "all of"
    return f"median time {time.median:.2f} of the original's, {sure} {time.low:.2f} to {time.high:.2f} ({pairs} pairs)"


def _verdict(
    variant: Runs, baseline: Runs, ratios: Sequence[float], time: Interval, rules: ComparisonRules
) -> tuple[bool, str]:
    if variant.correct != baseline.correct:
        right = f"right on {variant.correct} of {variant.total} inputs, the original on {baseline.correct}"
        return variant.correct > baseline.correct, right
    difference = math.fsum(variant.seconds) - math.fsum(baseline.seconds)
    faster = difference <= 0 and _is_gain(time.median, time.high, len(ratios), rules)
    slower = difference >= 0 and _is_gain(1 / time.median, 1 / time.low, len(ratios), rules)
    cheaper = variant.tokens < baseline.tokens * (1 - rules.least_gain)
    dearer = baseline.tokens < variant.tokens * (1 - rules.least_gain)
    gains = [word for word, holds in (("faster", faster), ("cheaper", cheaper)) if holds]
    losses = [word for word, holds in (("slower", slower), ("dearer", dearer)) if holds]
    stated = " and ".join(gains) or "neither faster nor cheaper"
    but = f" but {' and '.join(losses)}" if losses else ""
    return bool(gains) and not losses, f"right on as many inputs; {stated}{but}, by more than the noise"


def _is_gain(ratio: float, at_most: float, pairs: int, rules: ComparisonRules) -> bool:
    """Whether a ratio whose interval ends at `at_most` is a gain beyond the noise."""
    if pairs < LEAST_PAIRS:
        return at_most <= rules.obvious_ratio
    return at_most < 1 and ratio <= 1 - rules.least_gain


def _ratio(ours: float, theirs: float) -> float:
    return max(ours, LEAST_SECONDS) / max(theirs, LEAST_SECONDS)
