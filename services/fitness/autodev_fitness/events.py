"""The events that the service publishes."""

from autodev.gateway.v1 import event_pb2
from autodev_fitness.variants import Cause, Notice, Scored
from autodev_sdk.events import make_event


def event_of(notice: Notice, cause: Cause) -> event_pb2.Event:
    """The event that announces a notice."""
    return make_event(
        _payload(notice),
        agent_id=notice.agent_id,
        correlation_id=cause.correlation_id,
        causation_id=cause.event_id,
    )


def _payload(notice: Notice) -> event_pb2.VariantScored | event_pb2.VariantsCompared:
    if isinstance(notice, Scored):
        return event_pb2.VariantScored(
            variant_id=notice.variant_id, fitness_score=notice.score, previous_score=notice.previous_score
        )
    return event_pb2.VariantsCompared(
        variant_id=notice.variant_id,
        mutation_id=notice.mutation_id,
        time_ratio=notice.time_ratio,
        time_ratio_low=notice.time_ratio_low,
        time_ratio_high=notice.time_ratio_high,
        fitness_delta=notice.fitness_delta,
        wins=notice.wins,
    )
