"""The field rules that the protos state."""

from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import ListValue, NullValue, Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from autodev.capability.v1 import capability_service_pb2 as capability
from autodev.fitness.v1 import fitness_service_pb2 as fitness
from autodev.gateway.v1 import event_pb2, event_service_pb2
from autodev.options.v1.rules_pb2 import FieldRules, rules
from autodev_runtime import rules as field_rules
from autodev_runtime.errors import InvalidArgument
from autodev_runtime.rules import MOST_FLAWS, MOST_VALUES, check_message


def flaws(message: Message) -> dict[str, str]:
    try:
        check_message(message)
    except InvalidArgument as error:
        return {violation.field: violation.description for violation in error.violations}
    return {}


def check_request(agent_id: str = "ada", capability_name: str = "c") -> capability.CheckCapabilityRequest:
    return capability.CheckCapabilityRequest(agent_id=agent_id, capability=capability_name)


def compare_request(**runs: Any) -> fitness.CompareVariantsRequest:
    good = fitness.RunMeasurements(run_seconds=[1], correct=1, total=1)
    ours = fitness.RunMeasurements(**{"run_seconds": [1], "correct": 1, "total": 1, **runs})
    return fitness.CompareVariantsRequest(
        request_id="r", variant_id="v", baseline_variant_id="b", variant_runs=ours, baseline_runs=good
    )


def test_a_good_request_has_no_flaw() -> None:
    assert flaws(check_request()) == {}
    assert flaws(compare_request()) == {}


def test_what_is_required_is_named_and_every_flaw_at_once() -> None:
    assert flaws(capability.CheckCapabilityRequest()) == {"agent_id": "is required", "capability": "is required"}
    assert set(flaws(fitness.CompareVariantsRequest(request_id="r"))) == {
        "variant_id",
        "baseline_variant_id",
        "variant_runs",
        "baseline_runs",
    }


@pytest.mark.parametrize("identifier", ["a", "A.b_c:d/e@f-9", "x" * 128])
def test_an_identifier(identifier: str) -> None:
    assert flaws(check_request(identifier)) == {}


@pytest.mark.parametrize("text", ["a b", "ä", "a\n", "x" * 129, "'; DROP TABLE agents; --", "a\0b"])
def test_no_identifier(text: str) -> None:
    assert list(flaws(check_request(text))) == ["agent_id"]


def test_text_is_measured_in_bytes() -> None:
    reason = "ä" * 2048
    request = capability.SetMaturityRequest(agent_id="a", maturity=capability.MATURITY_LEVEL_INTERN, reason=reason)
    assert flaws(request) == {}
    request.reason = reason + "x"
    assert flaws(request) == {"reason": "is 4097 bytes long; allowed are 0 to 4096"}


def test_text_holds_no_nul() -> None:
    request = capability.SetMaturityRequest(agent_id="a", maturity=capability.MATURITY_LEVEL_INTERN, reason="a\0")
    assert flaws(request) == {"reason": "holds a NUL character"}


def test_a_field_without_rules_is_bounded_all_the_same() -> None:
    request = event_service_pb2.SubscribeRequest(after_cursor="x" * 1025)
    assert flaws(request) == {"after_cursor": "is 1025 bytes long; allowed are 0 to 1024"}


@pytest.mark.parametrize(("page_size", "good"), [(0, True), (500, True), (501, False), (-1, False)])
def test_numbers_have_bounds(page_size: int, good: bool) -> None:
    assert flaws(capability.ListGatesRequest(page_size=page_size)) == (
        {} if good else {"page_size": f"is {page_size}; allowed are 0 to 500"}
    )


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), float("-inf"), -0.1, 86401.0])
def test_each_entry_of_a_list_is_checked(seconds: float) -> None:
    assert list(flaws(compare_request(run_seconds=[1, seconds]))) == ["variant_runs.run_seconds[1]"]


@pytest.mark.parametrize(("name", "good"), [("acme.fixer", True), ("", False), ("a b", False)])
def test_proposers_have_names(name: str, good: bool) -> None:
    settings = capability.WorkspaceSettings(proposers=["search", name])
    broken = flaws(capability.UpdateWorkspaceSettingsRequest(settings=settings))
    assert list(broken) == ([] if good else ["settings.proposers[1]"])


def test_lists_have_bounds() -> None:
    assert list(flaws(compare_request(run_seconds=[]))) == ["variant_runs.run_seconds"]
    assert list(flaws(compare_request(run_seconds=[1] * 10_001))) == ["variant_runs.run_seconds"]


def test_a_number_that_must_be_above_zero_must_be_there() -> None:
    assert flaws(compare_request(total=0)) == {"variant_runs.total": "is required"}


def test_an_enum_holds_a_defined_value() -> None:
    request = capability.SetMaturityRequest(agent_id="a", maturity=77)  # type: ignore[arg-type]
    assert flaws(request) == {"maturity": "77 is not a value of the enum"}
    gate = capability.Gate(capability="c")
    assert flaws(capability.RegisterGateRequest(gate=gate)) == {"gate.required": "is required"}


@pytest.mark.parametrize(("seconds", "good"), [(1, True), (86400, True), (0, False), (-5, False), (86401, False)])
def test_a_duration_has_bounds_in_seconds(seconds: int, good: bool) -> None:
    request = capability.ReserveUsageRequest(request_id="r", agent_id="a", capability="c")
    request.hold_for.seconds = seconds
    assert (list(flaws(request)) == []) is good


def test_a_duration_agrees_with_itself() -> None:
    request = capability.ReserveUsageRequest(request_id="r", agent_id="a", capability="c")
    request.hold_for.seconds, request.hold_for.nanos = 5, -1
    assert flaws(request) == {"hold_for": "is not a duration"}


@pytest.mark.parametrize(("seconds", "nanos"), [(253402300800, 0), (-62135596801, 0), (0, -1), (0, 1_000_000_000)])
def test_a_time_is_one_that_a_calendar_has(seconds: int, nanos: int) -> None:
    signal = fitness.ExternalSignal(id="s", error_signal=True, occurred_at=Timestamp(seconds=seconds, nanos=nanos))
    request = fitness.EvaluateDelayedWebhookRequest(variant_id="v", signals=[signal])
    assert list(flaws(request)) == ["signals[0].occurred_at"]


def nested(levels: int) -> Value:
    value = Value(number_value=1)
    for _ in range(levels):
        value = Value(list_value=ListValue(values=[value]))
    return value


@pytest.mark.parametrize(
    ("value", "flaw"),
    [
        (Value(null_value=NullValue.NULL_VALUE), None),
        (nested(10), None),
        (nested(40), "is nested deeper than 32 levels"),
        (Value(), "holds a value of no kind"),
        (Value(number_value=float("nan")), "holds a number that is not finite"),
        (Value(string_value="a\0"), "holds a NUL character"),
        (Value(string_value="x" * 70_000), "is 70015 bytes long; allowed are 65536"),
        (Value(struct_value=Struct(fields={"a\0": Value(bool_value=True)})), "holds a NUL character"),
    ],
)
def test_structs_hold_json(value: Value, flaw: str | None) -> None:
    request = fitness.CreateVariantRequest(request_id="r", agent_id="a")
    request.workflow_definition.fields["k"].CopyFrom(value)
    assert flaws(request) == ({} if flaw is None else {"workflow_definition": flaw})


def test_an_empty_struct_that_is_required_may_be_empty_but_not_absent() -> None:
    request = fitness.CreateVariantRequest(request_id="r", agent_id="a")
    assert flaws(request) == {"workflow_definition": "is required"}
    request.workflow_definition.SetInParent()
    assert flaws(request) == {}


def tasks(events: int) -> list[event_pb2.Event]:
    task = event_pb2.TaskEvent(episode_id="e", agent_id="a", task_description="t", outcome=event_pb2.OUTCOME_FAILURE)
    return [event_pb2.Event(task_failed=task) for _ in range(events)]


def nulls(count: int) -> Value:
    return Value(list_value=ListValue(values=[Value(null_value=NullValue.NULL_VALUE)] * count))


def test_json_has_a_bound_in_a_message_altogether() -> None:
    events = 20
    request = event_service_pb2.PublishRequest(events=tasks(events))
    for event in request.events:
        # The event itself and the list count too.
        event.task_failed.metadata.fields["k"].CopyFrom(nulls(MOST_VALUES // events - 2))
    assert flaws(request) == {}
    request.events[-1].task_failed.metadata.fields["k"].list_value.values.add(bool_value=True)
    broken = flaws(request)
    assert list(broken) == [f"events[{events - 1}].task_failed.metadata"]
    assert f"past {MOST_VALUES} values" in broken[f"events[{events - 1}].task_failed.metadata"]


def test_messages_in_lists_have_the_same_bound() -> None:
    request = event_service_pb2.PublishRequest(events=tasks(1000))
    for event in request.events:
        event.task_failed.segments.extend([event_pb2.Segment(text="s")] * 256)
    (field,) = flaws(request)
    assert field.endswith(".task_failed.segments")


@given(st.lists(st.lists(st.integers(0, 3), max_size=4), min_size=1, max_size=4), st.integers(1, 40))
def test_every_value_counts_once_at_whatever_depth(shape: list[list[int]], most: int) -> None:
    request = event_service_pb2.PublishRequest(events=tasks(len(shape)))
    for event, lists in zip(request.events, shape, strict=True):
        for index, count in enumerate(lists):
            event.task_failed.metadata.fields[str(index)].CopyFrom(nulls(count))
    held = len(shape) + sum(len(lists) + sum(lists) for lists in shape)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(field_rules, "MOST_VALUES", most)
        assert (flaws(request) == {}) is (held <= most)


def test_past_so_many_flaws_no_more_are_looked_for() -> None:
    request = event_service_pb2.PublishRequest(events=tasks(1000))
    for event in request.events:
        event.agent_id = "a b"
    assert list(flaws(request)) == [f"events[{index}].agent_id" for index in range(MOST_FLAWS)]


def test_a_pattern_holds_for_the_whole_text() -> None:
    event = event_pb2.Event(id="01a20f06-d9f5-78d1-837a-9f491277ecb5")
    assert flaws(event) == {}
    event.id += "0"
    assert list(flaws(event)) == ["id"]


def test_rules_reach_into_messages_of_messages() -> None:
    example = event_pb2.Example(call="f()", expected="")
    task = event_pb2.TaskEvent(
        episode_id="e", agent_id="a", task_description="t", outcome=event_pb2.OUTCOME_FAILURE, examples=[example]
    )
    request = event_service_pb2.PublishRequest(events=[event_pb2.Event(task_failed=task)])
    assert flaws(request) == {"events[0].task_failed.examples[0].expected": "is required"}


@given(st.binary(max_size=300))
def test_whatever_parses_is_accepted_or_refused_and_never_raises_anything_else(data: bytes) -> None:
    for kind in (event_service_pb2.PublishRequest, fitness.CompareVariantsRequest, fitness.CreateVariantRequest):
        try:
            message = kind.FromString(data)
        except Exception:
            continue
        flaws(message)


def _fields() -> list[FieldDescriptor]:
    files = (capability.DESCRIPTOR, fitness.DESCRIPTOR, event_pb2.DESCRIPTOR, event_service_pb2.DESCRIPTOR)
    return [field for file in files for message in file.message_types_by_name.values() for field in message.fields]


def test_the_protos_state_rules_that_fit_their_fields() -> None:
    checked = 0
    for field in _fields():
        stated: FieldRules = field.GetOptions().Extensions[rules]
        if stated.identifier or stated.pattern or stated.text:
            assert field.type == FieldDescriptor.TYPE_STRING, field.full_name
        if stated.min_items or stated.max_items:
            assert field.is_repeated, field.full_name
        if stated.HasField("gte") and stated.HasField("lte"):
            assert stated.gte <= stated.lte, field.full_name
        checked += 1
    assert checked > 100
