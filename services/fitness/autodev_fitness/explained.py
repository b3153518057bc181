"""Explanations and comparisons of scores as protobuf."""

from google.protobuf.json_format import ParseDict

from autodev.fitness.v1 import fitness_service_pb2 as pb
from autodev_fitness.explanation import Explanation, ScoreStep
from autodev_fitness.score_comparison import ScoreComparison
from autodev_fitness.scoring import ExternalSignal, SignalKind
from autodev_fitness.signal_ids import stated_id
from autodev_fitness.variants import Variant
from autodev_fitness.weights import NumberedWeights
from autodev_runtime.paging import fitting, token_after

MOST_DIFFERENCES = 100


def explanation_to_proto(explained: Explanation, start: int, size: int) -> pb.ExplainFitnessResponse:
    """The explanation, with the steps from `start` on, `size` of them at most."""
    variant, steps = explained.variant, explained.steps[start : start + size]
    page = fitting([_step_to_proto(step) for step in steps])
    end = start + len(page)
    return pb.ExplainFitnessResponse(
        variant_id=variant.id,
        fitness_score=variant.fitness_score,
        fitness_function=variant.fitness_function,
        fitness_function_version=variant.function_version,
        first_run=[
            pb.FirstRunFact(name=fact.name, holds=fact.holds, adjustment=fact.adjustment) for fact in explained.facts
        ],
        proxy_score=variant.proxy_score,
        proxy_clamped=explained.proxy_clamped,
        steps=page,
        sum=explained.sum,
        clamped=explained.sum != variant.fitness_score,
        weights=_weights_to_proto(explained.weights),
        next_page_token=token_after([end]) if end < len(explained.steps) else "",
    )


def comparison_to_proto(compared: ScoreComparison, variant: Variant, other: Variant) -> pb.CompareScoresResponse:
    """The comparison of the one variant with the other."""
    return pb.CompareScoresResponse(
        better_variant_id=compared.better,
        score=compared.scores[0],
        other_score=compared.scores[1],
        shared_signals=compared.shared,
        differences=[
            pb.ScoreDifference(what=each.what, adjustment=each.ours, other_adjustment=each.theirs)
            for each in compared.differences[:MOST_DIFFERENCES]
        ],
        fitness_score=variant.fitness_score,
        other_fitness_score=other.fitness_score,
        explanation=compared.explanation,
    )


def signal_to_proto(signal: ExternalSignal) -> pb.ExternalSignal:
    """A signal as it came."""
    message = pb.ExternalSignal(id=stated_id(signal.id))
    setattr(message, signal.kind, signal.value if signal.kind is SignalKind.CONVERSION_VALUE else True)
    if signal.occurred_at is not None:
        message.occurred_at.FromDatetime(signal.occurred_at)
    return message


def _step_to_proto(step: ScoreStep) -> pb.ScoreStep:
    message = pb.ScoreStep(
        signal=signal_to_proto(step.heard.signal),
        adjustment=step.adjustment,
        adjustment_when_received=step.heard.adjustment_then,
        score_before=step.score_before,
        score_after=step.score_after,
        sum_after=step.sum_after,
        clamped=step.clamped,
    )
    message.received_at.FromDatetime(step.heard.received_at)
    return message


def _weights_to_proto(numbered: NumberedWeights) -> pb.ScoreWeights:
    message = pb.ScoreWeights(version=numbered.version)
    if numbered.weights is not None:
        ParseDict(numbered.weights.as_json(), message.weights)
    if numbered.since is not None:
        message.since.FromDatetime(numbered.since)
    return message
