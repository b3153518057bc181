"""Whether a variant is better than the original, by runs on the same inputs, taken in turns.

Correctness first: right on more inputs wins, on fewer loses. Right on as many, it must be faster or cheaper *beyond
the noise*, and not worse in the other.

The runs are pairs: the i-th of both had the same input and ran one after the other, so that what slows the machine
slows both. A variant counts as faster when all of these hold:

- the median of the pairs' ratios shows a gain of at least `least_gain` (a median, since one stalled run means nothing);
- the pairs' signs are no accident: with as many pairs won or more, an equal variant is that lucky with a probability of
  at most `significance` (the exact one-sided sign test, which needs no assumption about how times are spread);
- all runs together took no longer, so that a gain on small inputs does not hide a loss on a large one.

Fewer than five pairs cannot pass that test (0.5 ** 4 > 0.05). With those, only an obvious gain counts: every pair at
`obvious_ratio` or less. Tokens are counted, not sampled: fewer by `least_gain` is cheaper.

Everything is computed from the numbers alone: the same runs always give the same answer.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from statistics import median

# Below what a clock resolves; keeps ratios finite.
LEAST_SECONDS = 1e-9


@dataclass(frozen=True, slots=True)
class ComparisonRules:
    """What counts as more than noise."""

    least_gain: float = 0.05
    significance: float = 0.05
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
    """The answer. `time_ratio` is the median of the variant's runs divided by that of the original's."""

    time_ratio: float
    wins: bool
    explanation: str


DEFAULT_RULES = ComparisonRules()


def compare(variant: Runs, baseline: Runs, rules: ComparisonRules = DEFAULT_RULES) -> Comparison:
    """Compare a variant's runs with the original's: as many runs, on the same inputs, in the same order."""
    ratio = _ratio(median(variant.seconds), median(baseline.seconds))
    wins, explanation = _verdict(variant, baseline, rules)
    return Comparison(ratio, wins, f"{explanation}; median time {ratio:.2f} of the original's")


def _verdict(variant: Runs, baseline: Runs, rules: ComparisonRules) -> tuple[bool, str]:
    if variant.correct != baseline.correct:
        right = f"right on {variant.correct} of {variant.total} inputs, the original on {baseline.correct}"
        return variant.correct > baseline.correct, right
    faster = _is_faster(variant.seconds, baseline.seconds, rules)
    slower = _is_faster(baseline.seconds, variant.seconds, rules)
    cheaper = variant.tokens < baseline.tokens * (1 - rules.least_gain)
    dearer = baseline.tokens < variant.tokens * (1 - rules.least_gain)
    gains = [word for word, holds in (("faster", faster), ("cheaper", cheaper)) if holds]
    losses = [word for word, holds in (("slower", slower), ("dearer", dearer)) if holds]
    stated = " and ".join(gains) or "neither faster nor cheaper"
    but = f" but {' and '.join(losses)}" if losses else ""
    return bool(gains) and not losses, f"right on as many inputs; {stated}{but}, by more than the noise"


def _is_faster(ours: Sequence[float], theirs: Sequence[float], rules: ComparisonRules) -> bool:
    ratios = [_ratio(mine, other) for mine, other in zip(ours, theirs, strict=True)]
    if math.fsum(ours) > math.fsum(theirs):
        return False
    if 0.5 ** len(ratios) > rules.significance:
        return max(ratios) <= rules.obvious_ratio
    return median(ratios) <= 1 - rules.least_gain and sign_test(ratios) <= rules.significance


def sign_test(ratios: Sequence[float]) -> float:
    """How likely an equal variant wins as many of the pairs or more; ties say nothing and are left out."""
    won = sum(1 for ratio in ratios if ratio < 1)
    pairs = won + sum(1 for ratio in ratios if ratio > 1)
    ways = total = math.comb(pairs, won)
    for wins in range(won, pairs):
        ways = ways * (pairs - wins) // (wins + 1)
        total += ways
    return float(Fraction(total, 2**pairs))


def _ratio(ours: float, theirs: float) -> float:
    return max(ours, LEAST_SECONDS) / max(theirs, LEAST_SECONDS)
