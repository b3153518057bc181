"""What of a request or an answer the audit log keeps: the fields whose rules say `audited`, and no others."""

from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from autodev.options.v1.rules_pb2 import rules
from autodev_runtime.json_value import JsonValue

_LOOSE = ("google.protobuf.Struct", "google.protobuf.Value", "google.protobuf.ListValue", "google.protobuf.Any")


def audited_values(message: Message, *, all_fields: bool = False) -> dict[str, JsonValue]:
    """The audited fields that are set, by name; `all_fields`: those of a message that is audited as a whole."""
    found: dict[str, JsonValue] = {}
    for field, value in message.ListFields():
        kept = all_fields or field.GetOptions().Extensions[rules].audited
        if field.type == FieldDescriptor.TYPE_BYTES or (field.message_type and field.message_type.full_name in _LOOSE):
            continue
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            continue
        shown = [_shown(field, each, kept) for each in (value if field.is_repeated else [value])]
        if kept or any(isinstance(each, dict) and each for each in shown):
            found[field.name] = shown if field.is_repeated else shown[0]
    return found


def _shown(field: FieldDescriptor, value: Any, kept: bool) -> JsonValue:
    if field.enum_type is not None:
        named = field.enum_type.values_by_number.get(value)
        return named.name if named is not None else int(value)
    if field.message_type is None:
        # As a text, since readers of JSON do not agree on what numbers are.
        return str(value) if isinstance(value, float) else value
    if field.message_type.full_name in ("google.protobuf.Timestamp", "google.protobuf.Duration"):
        return str(value.ToJsonString()) if kept else None
    return audited_values(value, all_fields=kept)
