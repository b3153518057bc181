"""A score explained: what the first run was worth, then each signal, with the score before and after it.

Sums are exact (fractions) and rounded once, as `math.fsum` rounds them, so the last step ends at the score to the last
bit, in whichever order the steps are read.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

from autodev_fitness.functions import DEFAULT
from autodev_fitness.scoring import (
    ExternalSignal,
    ProxyFact,
    ProxyWeights,
    SignalWeights,
    adjustment,
    clamp,
    proxy_facts,
    total,
)
from autodev_fitness.variants import Variant
from autodev_fitness.weights import NumberedWeights


@dataclass(frozen=True, slots=True)
class Heard:
    """A signal that was accepted: when, and what it added by the weights of that time."""

    signal: ExternalSignal
    received_at: datetime
    adjustment_then: float


@dataclass(frozen=True, slots=True)
class ScoreStep:
    """What one signal did. `sum_after` is what `score_after` is the clamp of."""

    heard: Heard
    adjustment: float
    score_before: float
    score_after: float
    sum_after: float

    @property
    def clamped(self) -> bool:
        """Whether the sum is outside of [0, 1]."""
        return self.sum_after != self.score_after


@dataclass(frozen=True, slots=True)
class Explanation:
    """A score and all that it is made of. `facts` are empty where another function than "proxy" scored the run."""

    variant: Variant
    weights: NumberedWeights
    facts: tuple[ProxyFact, ...]
    steps: tuple[ScoreStep, ...]

    @property
    def sum(self) -> float:
        """What the score is the clamp of."""
        return self.steps[-1].sum_after if self.steps else self.variant.proxy_score

    @property
    def proxy_clamped(self) -> bool:
        """Whether the facts' sum is outside of [0, 1]."""
        return bool(self.facts) and total(fact.adjustment for fact in self.facts) != self.variant.proxy_score


def explain(variant: Variant, heard: Sequence[Heard], weights: NumberedWeights) -> Explanation:
    """Explain a variant's score by the weights that it was computed with.

    Where those were not recorded, each signal counts what it added when it came, as scores then did.
    """
    return Explanation(
        variant,
        weights,
        _facts(variant, weights.weights.proxy if weights.weights else ProxyWeights()),
        tuple(_steps(variant.proxy_score, heard, weights.weights.signals if weights.weights else None)),
    )


def _facts(variant: Variant, weights: ProxyWeights) -> tuple[ProxyFact, ...]:
    if variant.proxy_signals is None or variant.fitness_function != DEFAULT:
        return ()
    return proxy_facts(variant.proxy_signals, weights)


def _steps(proxy: float, heard: Sequence[Heard], weights: SignalWeights | None) -> Iterator[ScoreStep]:
    exact, before = Fraction(proxy), clamp(proxy)
    for each in heard:
        added = adjustment(each.signal, weights) if weights is not None else each.adjustment_then
        exact += Fraction(added)
        after = float(exact)
        yield ScoreStep(each, added, before, clamp(after), after)
        before = clamp(after)
