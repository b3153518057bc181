"""Which of two variants is better, by what both were told.

A variant that was told of ten sales is not better for that than one that nobody told anything: only signals whose ids
both have are counted, beside the first run, and both first runs are scored by one function.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from autodev_fitness.scoring import ExternalSignal, SignalWeights, adjustment, total_score
from autodev_fitness.signal_ids import stated_id

FIRST_RUN = "first run"


@dataclass(frozen=True, slots=True)
class Told:
    """What one variant was told: its first run's score, and the signals by id. `fitness` is its score by all of it."""

    variant_id: str
    proxy: float
    signals: Mapping[str, ExternalSignal]
    fitness: float


@dataclass(frozen=True, slots=True)
class ScoreDifference:
    """What one thing that both were told gave to each."""

    what: str
    ours: float
    theirs: float


@dataclass(frozen=True, slots=True)
class ScoreComparison:
    """The answer. `better` is empty where they are as good; `scores` are by what both were told."""

    better: str
    scores: tuple[float, float]
    shared: int
    differences: tuple[ScoreDifference, ...]
    explanation: str


def compare_scores(ours: Told, theirs: Told, weights: SignalWeights) -> ScoreComparison:
    """Compare two variants by their first runs and the signals that both were told."""
    shared = sorted(ours.signals.keys() & theirs.signals.keys())
    pairs = [
        ScoreDifference(
            stated_id(each), adjustment(ours.signals[each], weights), adjustment(theirs.signals[each], weights)
        )
        for each in shared
    ]
    scores = (
        total_score(ours.proxy, (each.ours for each in pairs)),
        total_score(theirs.proxy, (each.theirs for each in pairs)),
    )
    differences = [each for each in (ScoreDifference(FIRST_RUN, ours.proxy, theirs.proxy), *pairs) if _differs(each)]
    differences.sort(key=lambda each: (-abs(each.ours - each.theirs), each.what))
    better = "" if scores[0] == scores[1] else (ours if scores[0] > scores[1] else theirs).variant_id
    return ScoreComparison(
        better, scores, len(shared), tuple(differences), _explanation(ours, theirs, scores, len(shared), differences)
    )


def _differs(each: ScoreDifference) -> bool:
    return each.ours != each.theirs


def _explanation(
    ours: Told, theirs: Told, scores: tuple[float, float], shared: int, differences: list[ScoreDifference]
) -> str:
    ground = f"by the first run and {shared} signals that both were told" if shared else "by the first run alone"
    if scores[0] == scores[1]:
        told = f"as good {ground} ({scores[0]:.3g})"
        if ours.fitness != theirs.fitness:
            told += f"; by all that each was told, {ours.fitness:.3g} against {theirs.fitness:.3g}"
        return told
    first, second = (ours, theirs) if scores[0] > scores[1] else (theirs, ours)
    sign = 1 if first is ours else -1
    # The largest difference in the better one's favour: there is one, or it would not be better.
    for_it = max(differences, key=lambda each: sign * (each.ours - each.theirs))
    high, low = (for_it.ours, for_it.theirs) if sign > 0 else (for_it.theirs, for_it.ours)
    return (
        f"{first.variant_id} is better than {second.variant_id} {ground}: {max(scores):.3g} against {min(scores):.3g}; "
        f"most of it by {for_it.what} ({high:+.3g} against {low:+.3g})"
    )
