"""From a request's EventFilter to the log's, and back."""

from autodev.gateway.v1 import event_pb2, event_service_pb2
from autodev_gateway.event_log import Filter
from autodev_runtime.errors import InvalidArgument


def filter_from(stated: event_service_pb2.EventFilter, field: str) -> Filter:
    """The filter that a request states. Raises InvalidArgument for a kind of event that is none."""
    if event_pb2.EVENT_TYPE_UNSPECIFIED in stated.types:
        raise InvalidArgument.field(f"{field}.types", "holds EVENT_TYPE_UNSPECIFIED, which is no kind of event")
    return Filter(frozenset(stated.types), frozenset(stated.agent_ids), frozenset(stated.skill_ids))


def filter_to(wanted: Filter) -> event_service_pb2.EventFilter:
    """The log's filter as a request would state it."""
    return event_service_pb2.EventFilter(
        types=[event_pb2.EventType.ValueType(each) for each in sorted(wanted.types)],
        agent_ids=sorted(wanted.agents),
        skill_ids=sorted(wanted.skills),
    )
