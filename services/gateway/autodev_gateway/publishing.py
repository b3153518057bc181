"""What may be published by whom: from a caller's Event to a draft for the log."""

from collections.abc import Sequence
from typing import Any

from autodev.gateway.v1 import event_pb2
from autodev_gateway.event_log import Draft, EpisodeReport
from autodev_runtime.errors import FieldViolation, InvalidArgument, PermissionDenied
from autodev_runtime.identity import ALL_TENANTS, Identity, Role
from autodev_runtime.tracing import TraceContext
from autodev_sdk.events import uuid7

_PAYLOADS = event_pb2.Event.DESCRIPTOR.oneofs_by_name["payload"].fields
_TYPES = {field.name: field.number for field in _PAYLOADS}
_HAS_SKILL = {
    field.name
    for field in _PAYLOADS
    if field.message_type is not None and "skill_id" in field.message_type.fields_by_name
}
_HAS_AGENT = {"task_failed", "task_succeeded", "skill_executed"}
"""What callers report: all else is for the mesh's own services to say."""
_OUTCOMES = {
    "task_failed": (event_pb2.OUTCOME_FAILURE, event_pb2.OUTCOME_PARTIAL),
    "task_succeeded": (event_pb2.OUTCOME_SUCCESS,),
}
_VOUCHED = (event_pb2.VERIFICATION_VERIFIED, event_pb2.VERIFICATION_REFUTED)


def drafts_of(
    events: Sequence[event_pb2.Event], publisher: Identity, trace: TraceContext | None, max_event_bytes: int
) -> list[Draft]:
    """Drafts of a call's events, in order. The events are changed to what the log holds.

    Raises InvalidArgument naming every field at fault; PermissionDenied (SERVICE_EVENT, ROLE_REQUIRED).
    """
    violations: list[FieldViolation] = []
    drafts = []
    for index, event in enumerate(events):
        path = f"events[{index}]"
        kind = event.WhichOneof("payload")
        if kind is None:
            violations.append(FieldViolation(path, "has no payload"))
            continue
        payload = getattr(event, kind)
        _check_permission(kind, payload, publisher)
        flaws = _flaws(kind, event, payload, path)
        event.tenant_id = _tenant_of(event, publisher, path, flaws)
        violations += flaws
        if not flaws:
            drafts.append(_draft(kind, event, payload, trace))
            if (size_bytes := len(drafts[-1].body)) > max_event_bytes:
                violations.append(FieldViolation(path, f"is {size_bytes} bytes long; allowed are {max_event_bytes}"))
    if violations:
        raise InvalidArgument(violations)
    return drafts


def _check_permission(kind: str, payload: Any, publisher: Identity) -> None:
    if Role.SERVICE in publisher.roles:
        return
    if kind not in _HAS_AGENT:
        raise PermissionDenied(
            f"only a service of the mesh may publish {kind}", reason="SERVICE_EVENT", metadata={"payload": kind}
        )
    vouched = _vouched_for(kind, payload)
    if vouched and Role.RUNTIME not in publisher.roles:
        raise PermissionDenied(
            f"only a credential with the role 'runtime' may vouch for {vouched}",
            reason="ROLE_REQUIRED",
            metadata={"role": Role.RUNTIME.value},
        )


def _vouched_for(kind: str, payload: Any) -> str:
    """What a report asks to be believed, if anything: the mesh acts on it with nobody deciding."""
    if kind in _OUTCOMES and payload.verification in _VOUCHED:
        return "an outcome"
    if kind == "skill_executed" and payload.expected:
        return "what a call must give (expected)"
    if kind == "skill_executed" and payload.skill_version:
        return "the version that ran (skill_version)"
    return ""


def _tenant_of(event: event_pb2.Event, publisher: Identity, path: str, flaws: list[FieldViolation]) -> str:
    if publisher.tenant != ALL_TENANTS:
        return publisher.tenant
    if not event.tenant_id:
        flaws.append(FieldViolation(f"{path}.tenant_id", "is required of a service that publishes for all tenants"))
    return event.tenant_id


def _flaws(kind: str, event: event_pb2.Event, payload: Any, path: str) -> list[FieldViolation]:
    """What field rules cannot say."""
    flaws = []
    if kind in _OUTCOMES and payload.outcome not in _OUTCOMES[kind]:
        allowed = " or ".join(event_pb2.Outcome.Name(outcome) for outcome in _OUTCOMES[kind])
        flaws.append(FieldViolation(f"{path}.{kind}.outcome", f"must be {allowed}"))
    if kind in _HAS_AGENT and event.agent_id not in ("", payload.agent_id):
        flaws.append(FieldViolation(f"{path}.agent_id", f"differs from {kind}.agent_id"))
    return flaws


def _draft(kind: str, event: event_pb2.Event, payload: Any, trace: TraceContext | None) -> Draft:
    event.ClearField("cursor")
    event.ClearField("recorded_at")
    if not event.id:
        event.id = uuid7()
    if not event.HasField("occurred_at"):
        event.occurred_at.GetCurrentTime()
    if kind in _HAS_AGENT:
        event.agent_id = payload.agent_id
    if not event.traceparent and trace is not None:
        event.traceparent = trace.traceparent
    return Draft(
        tenant=event.tenant_id,
        event_id=event.id,
        type=_TYPES[kind],
        agent_id=event.agent_id,
        skill_id=payload.skill_id if kind in _HAS_SKILL else "",
        body=event.SerializeToString(),
        episode=_episode(payload) if kind in _OUTCOMES else None,
    )


def _episode(task: event_pb2.TaskEvent) -> EpisodeReport:
    return EpisodeReport(task.episode_id, task.agent_id, task.outcome, task.SerializeToString())
