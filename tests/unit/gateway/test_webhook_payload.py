"""What a webhook's body may say."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autodev_gateway.webhooks.payload import call_of
from autodev_runtime.errors import InvalidArgument

DATA = {"variant_id": "v-1"}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def call(stated: object, webhook_id: str = "msg_1") -> Any:
    return call_of("crm", webhook_id, json.dumps(stated).encode())


def fields_of(stated: object, webhook_id: str = "msg_1") -> list[str]:
    with pytest.raises(InvalidArgument) as told:
        call(stated, webhook_id)
    return [each.field for each in told.value.violations]


@pytest.mark.parametrize(
    "kind", ["invoice_created", "crm_conversion", "conversion_success", "email_bounce", "error_signal"]
)
def test_a_kind_of_signal_is_passed_on(kind: str) -> None:
    made = call({"type": kind, "data": DATA})
    assert made.variant_id == "v-1"
    assert [(each.id, each.WhichOneof("kind"), getattr(each, kind)) for each in made.signals] == [
        ("crm:msg_1", kind, True)
    ]


def test_a_value_and_a_time_are_passed_on() -> None:
    made = call({"type": "conversion_value", "timestamp": "2026-01-31T12:00:00Z", "data": {**DATA, "value": 120}})
    assert made.signals[0].conversion_value == 120.0
    assert made.signals[0].occurred_at.ToJsonString() == "2026-01-31T12:00:00Z"


def test_what_else_a_sender_says_is_let_be() -> None:
    assert call({"type": "email_bounce", "data": {**DATA, "address": "a@b.c"}, "livemode": True}).variant_id == "v-1"


@pytest.mark.parametrize(
    ("stated", "fields"),
    [
        ([], ["body"]),
        ({}, ["data"]),
        ({"data": []}, ["data"]),
        ({"type": "sold", "data": DATA}, ["type"]),
        ({"type": ["invoice_created"], "data": DATA}, ["type"]),
        ({"type": "id", "data": DATA}, ["type"]),
        ({"type": "invoice_created", "data": {}}, ["data.variant_id"]),
        ({"type": "invoice_created", "data": {"variant_id": ""}}, ["data.variant_id"]),
        ({"type": "invoice_created", "data": {"variant_id": "a b"}}, ["data.variant_id"]),
        ({"type": "invoice_created", "data": {"variant_id": "\ud800"}}, ["data.variant_id"]),
        ({"type": "invoice_created", "data": {"variant_id": 7}}, ["data.variant_id"]),
        ({"type": "invoice_created", "data": {**DATA, "value": 7}}, ["data.value"]),
        ({"type": "conversion_value", "data": DATA}, ["data.value"]),
        ({"type": "conversion_value", "data": {**DATA, "value": True}}, ["data.value"]),
        ({"type": "conversion_value", "data": {**DATA, "value": "7"}}, ["data.value"]),
        ({"type": "conversion_value", "data": {**DATA, "value": -1}}, ["data.value"]),
        ({"type": "conversion_value", "data": {**DATA, "value": 1e16}}, ["data.value"]),
        ({"type": "conversion_value", "data": {**DATA, "value": 10**400}}, ["data.value"]),
        ({"type": "email_bounce", "timestamp": "yesterday", "data": DATA}, ["timestamp"]),
        ({"type": "email_bounce", "timestamp": 1700000000, "data": DATA}, ["timestamp"]),
        ({"type": "x", "timestamp": "y", "data": {}}, ["type", "timestamp", "data.variant_id"]),
    ],
)
def test_every_field_at_fault_is_named(stated: object, fields: list[str]) -> None:
    assert fields_of(stated) == fields


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b'{"data": NaN}', b"[" * 100_000, b'{"data": ' + b"9" * 5000 + b"}"]
)
def test_what_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidArgument) as told:
        call_of("crm", "msg_1", body)
    assert [each.field for each in told.value.violations] == ["body"]


@pytest.mark.parametrize("webhook_id", ["", "a.b", "a b", "é", "a" * 97])
def test_an_id_that_could_be_read_in_two_ways_is_refused(webhook_id: str) -> None:
    assert fields_of({"type": "email_bounce", "data": DATA}, webhook_id) == ["webhook-id"]


@given(JSON, JSON, JSON, JSON)
def test_whatever_is_said_is_either_a_right_call_or_refused(kind: Any, time: Any, variant: Any, value: Any) -> None:
    body = {"type": kind, "timestamp": time, "data": {"variant_id": variant, "value": value}}
    try:
        made = call(body)
    except InvalidArgument:
        return
    assert made.signals[0].WhichOneof("kind") == kind
