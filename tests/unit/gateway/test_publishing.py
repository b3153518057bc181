"""What may be published, by whom, and what the log makes of it."""

from typing import Any

import pytest

from autodev.gateway.v1 import event_pb2 as pb
from autodev_gateway.event_log import Draft
from autodev_gateway.publishing import drafts_of
from autodev_runtime.errors import InvalidArgument, PermissionDenied
from autodev_runtime.identity import Identity, Role, service_identity
from autodev_runtime.tracing import new_trace
from autodev_sdk import make_event

AGENT = Identity("acme", "agent", frozenset())
RUNTIME = Identity("acme", "runtime", frozenset({Role.RUNTIME}))
LEARNING = service_identity("learning")


def task(**changes: Any) -> pb.TaskEvent:
    stated: dict[str, Any] = {
        "episode_id": "e-1",
        "agent_id": "ada",
        "task_description": "sum",
        "outcome": pb.OUTCOME_FAILURE,
    }
    return pb.TaskEvent(**(stated | changes))


def draft(event: pb.Event, publisher: Identity = AGENT) -> Draft:
    (made,) = drafts_of([event], publisher, None, 1_000_000)
    return made


def flaws(event: pb.Event, publisher: Identity = AGENT, max_event_bytes: int = 1_000_000) -> list[str]:
    with pytest.raises(InvalidArgument) as refused:
        drafts_of([event], publisher, None, max_event_bytes)
    return [each.field for each in refused.value.violations]


def test_the_tenant_is_the_publishers_whatever_the_event_says() -> None:
    event = make_event(task())
    event.tenant_id = "globex"
    made = draft(event)
    assert made.tenant == pb.Event.FromString(made.body).tenant_id == "acme"


def test_a_service_for_all_tenants_says_whose_the_event_is() -> None:
    event = make_event(pb.SkillPromoted(skill_id="s-1"))
    assert flaws(event, LEARNING) == ["events[0].tenant_id"]
    event.tenant_id = "globex"
    assert draft(event, LEARNING).tenant == "globex"


def test_what_the_log_fills_is_not_taken_from_the_publisher() -> None:
    event = make_event(task())
    event.cursor = "0" * 16
    event.recorded_at.GetCurrentTime()
    stored = pb.Event.FromString(draft(event).body)
    assert stored.cursor == ""
    assert not stored.HasField("recorded_at")


def test_an_id_and_a_time_are_made_where_there_are_none() -> None:
    made = draft(pb.Event(task_failed=task()))
    stored = pb.Event.FromString(made.body)
    assert made.event_id == stored.id
    assert made.event_id[14] == "7"
    assert stored.HasField("occurred_at")


def test_the_agent_of_a_report_is_the_events() -> None:
    assert draft(make_event(task())).agent_id == "ada"
    assert flaws(make_event(task(), agent_id="bob")) == ["events[0].agent_id"]
    run = pb.SkillExecutionEvent(execution_id="x", agent_id="ada", skill_id="s-1")
    made = draft(make_event(run))
    assert (made.agent_id, made.skill_id) == ("ada", "s-1")


def test_the_call_that_published_is_in_the_trace() -> None:
    trace = new_trace()
    (made,) = drafts_of([make_event(task())], AGENT, trace, 10_000)
    assert pb.Event.FromString(made.body).traceparent == trace.traceparent


def test_an_event_without_a_payload_is_refused() -> None:
    assert flaws(pb.Event()) == ["events[0]"]


@pytest.mark.parametrize(
    ("field", "outcome"),
    [
        ("task_failed", pb.OUTCOME_SUCCESS),
        ("task_succeeded", pb.OUTCOME_FAILURE),
        ("task_succeeded", pb.OUTCOME_PARTIAL),
    ],
)
def test_the_outcome_agrees_with_the_kind(field: str, outcome: pb.Outcome.ValueType) -> None:
    event = pb.Event()
    getattr(event, field).CopyFrom(task(outcome=outcome))
    assert flaws(event) == [f"events[0].{field}.outcome"]


def test_a_partial_success_is_a_failure() -> None:
    made = draft(make_event(task(outcome=pb.OUTCOME_PARTIAL)))
    assert made.type == pb.EVENT_TYPE_TASK_FAILED
    assert made.episode is not None
    assert made.episode.outcome == pb.OUTCOME_PARTIAL


def test_every_flaw_of_every_event_is_named() -> None:
    events = [pb.Event(), make_event(task()), make_event(task(), agent_id="bob")]
    with pytest.raises(InvalidArgument) as refused:
        drafts_of(events, AGENT, None, 10_000)
    assert [each.field for each in refused.value.violations] == ["events[0]", "events[2].agent_id"]


def test_an_event_has_a_greatest_size() -> None:
    assert flaws(make_event(task(code="x" * 5000)), max_event_bytes=4096) == ["events[0]"]


@pytest.mark.parametrize("kind", [each.name for each in pb.Event.DESCRIPTOR.oneofs_by_name["payload"].fields][3:])
def test_only_services_say_what_the_mesh_did(kind: str) -> None:
    event = pb.Event(tenant_id="acme")
    getattr(event, kind).SetInParent()
    for publisher in (AGENT, RUNTIME):
        with pytest.raises(PermissionDenied) as refused:
            draft(event, publisher)
        assert refused.value.reason == "SERVICE_EVENT"
    assert draft(event, LEARNING).tenant == "acme"


@pytest.mark.parametrize("verification", [pb.VERIFICATION_VERIFIED, pb.VERIFICATION_REFUTED])
def test_only_a_runtime_vouches_for_an_outcome(verification: pb.Verification.ValueType) -> None:
    event = make_event(task(verification=verification))
    with pytest.raises(PermissionDenied) as refused:
        draft(event)
    assert refused.value.metadata == {"role": "runtime"}
    assert draft(event, RUNTIME).type == pb.EVENT_TYPE_TASK_FAILED
    assert draft(make_event(task(verification=pb.VERIFICATION_SELF_REPORTED))).tenant == "acme"


@pytest.mark.parametrize("vouched", [{"expected": "2"}, {"skill_version": "1.1.0"}])
def test_only_a_runtime_vouches_for_a_run(vouched: dict[str, Any]) -> None:
    run: dict[str, Any] = {"execution_id": "x", "agent_id": "ada", "skill_id": "s-1", "call": "fee(101)"}
    event = make_event(pb.SkillExecutionEvent(**run, **vouched))
    with pytest.raises(PermissionDenied) as refused:
        draft(event)
    assert (refused.value.reason, refused.value.metadata) == ("ROLE_REQUIRED", {"role": "runtime"})
    assert next(iter(vouched)) in refused.value.message
    for publisher in (RUNTIME, LEARNING):
        event.tenant_id = "acme"
        assert draft(event, publisher).tenant == "acme"
    assert draft(make_event(pb.SkillExecutionEvent(**run))).tenant == "acme"
