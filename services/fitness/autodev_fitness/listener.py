"""The events that change scores."""

import logging
from collections.abc import Mapping

from autodev.gateway.v1 import event_pb2
from autodev_fitness.fitness import Fitness
from autodev_fitness.variants import Cause
from autodev_runtime.errors import NotFound
from autodev_sdk.events import Handler

GROUP = "fitness"

log = logging.getLogger(__name__)


class Listener:
    """Scores again what a person approved."""

    def __init__(self, fitness: Fitness) -> None:
        self._fitness = fitness

    @property
    def handlers(self) -> Mapping["event_pb2.EventType.ValueType", Handler]:
        """Which event goes where."""
        return {event_pb2.EVENT_TYPE_REVIEW_DECIDED: self.on_review}

    async def on_review(self, event: event_pb2.Event) -> None:
        """An approved variant is approved by the user."""
        decided = event.review_decided
        if decided.decision != event_pb2.DECISION_APPROVED or not decided.variant_id:
            return
        try:
            await self._fitness.approve(event.tenant_id, decided.variant_id, Cause(event.id, event.correlation_id))
        except NotFound:
            # Trying again finds it no sooner: a mutation's variant is made before its review.
            log.warning("review %s is about a variant that is not here: %s", decided.review_id, decided.variant_id)
