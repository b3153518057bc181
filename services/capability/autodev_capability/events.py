"""The events that the service publishes."""

from autodev.gateway.v1 import event_pb2
from autodev_capability.notices import Notice, Unlocked
from autodev_sdk.events import make_event


def event_of(notice: Notice) -> event_pb2.Event:
    """The event that announces a notice."""
    if isinstance(notice, Unlocked):
        unlocked = event_pb2.CapabilityUnlocked(
            capability=notice.capability, maturity=notice.level.name, message=notice.message
        )
        return make_event(
            unlocked,
            agent_id=notice.agent_id,
            correlation_id=notice.cause.correlation_id,
            causation_id=notice.cause.event_id,
        )
    exceeded = event_pb2.QuotaExceeded(capability=notice.capability, used=notice.used, limit=notice.limit)
    exceeded.resets_at.FromDatetime(notice.resets_at)
    return make_event(exceeded, agent_id=notice.agent_id)
