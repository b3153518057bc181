"""The events that the service counts."""

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from autodev.gateway.v1 import event_pb2
from autodev_capability.forgetting import oldest_kept
from autodev_capability.gates import day_of
from autodev_capability.notices import Cause
from autodev_capability.standing import Standing, Work
from autodev_sdk.events import Handler

log = logging.getLogger(__name__)

GROUP = "capability"

_OF_VERIFICATION = {
    event_pb2.VERIFICATION_VERIFIED: Work.VERIFIED,
    event_pb2.VERIFICATION_REFUTED: Work.REFUTED,
}
_OF_SUBJECT = {
    event_pb2.SUBJECT_KIND_CANDIDATE: Work.CANDIDATE_APPROVED,
    event_pb2.SUBJECT_KIND_MUTATION: Work.MUTATION_APPROVED,
}


class Listener:
    """Counts successes, refutations and approvals."""

    def __init__(self, standing: Standing, keep_days: int, clock: Callable[[], datetime]) -> None:
        """`keep_days`: how long it is known which events were counted. Older ones count for nothing."""
        self._standing = standing
        self._keep_days = keep_days
        self._clock = clock

    @property
    def handlers(self) -> Mapping["event_pb2.EventType.ValueType", Handler]:
        """Which event goes where."""
        return {
            event_pb2.EVENT_TYPE_TASK_SUCCEEDED: self.on_task,
            event_pb2.EVENT_TYPE_TASK_FAILED: self.on_task,
            event_pb2.EVENT_TYPE_REVIEW_DECIDED: self.on_review,
        }

    async def on_task(self, event: event_pb2.Event) -> None:
        """A success counts by who vouches for it; of failures, only a refuted success says something of trust."""
        task = event.task_failed if event.HasField("task_failed") else event.task_succeeded
        agent_id = event.agent_id or task.agent_id
        if task.verification == event_pb2.VERIFICATION_REFUTED or event.HasField("task_succeeded"):
            work = _OF_VERIFICATION.get(task.verification, Work.SELF_REPORTED)
            await self._count(event, agent_id, work, task.episode_id)
        elif agent_id:
            await self._standing.hear_of(event.tenant_id, agent_id)

    async def on_review(self, event: event_pb2.Event) -> None:
        """An approval counts for the capability that made what was approved."""
        decided = event.review_decided
        approved = decided.decision == event_pb2.DECISION_APPROVED
        await self._count(event, event.agent_id, _OF_SUBJECT.get(decided.subject_kind) if approved else None)

    async def _count(self, event: event_pb2.Event, agent_id: str, work: Work | None, episode_id: str = "") -> None:
        if work is None or not agent_id:
            return
        day = day_of(event.recorded_at.ToDatetime(UTC))
        if day < oldest_kept(self._clock(), self._keep_days):
            log.warning("event %s of %s came too late to count", event.id, day)
            return
        cause = Cause(event.id, event.correlation_id)
        await self._standing.count(event.tenant_id, agent_id, work, cause, day, episode_id)
