"""Enforces the field rules that the protos state (`autodev.options.v1.rules`).

A message's descriptor is compiled once to a list of checks; after that, only the fields that are set are looked at.
See docs/decisions for why this is not protovalidate.
"""

import math
import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from autodev.options.v1.rules_pb2 import FieldRules, rules
from autodev_runtime.errors import FieldViolation, InvalidArgument

DEFAULT_STRING_BYTES = 1024
DEFAULT_ITEMS = 1000
DEFAULT_STRUCT_BYTES = 64 * 1024
STRUCT_DEPTH = 32
IDENTIFIER = re.compile(r"[A-Za-z0-9._:/@-]{1,128}")
TIMESTAMP_SECONDS = (-62135596800, 253402300799)
DURATION_SECONDS = 315576000000
FLOATS = (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT)


class Flaw(NamedTuple):
    """A rule that is broken: the path from the value that was checked (`.name`, `[3].name`), and the rule in words."""

    path: str
    description: str


Flaws = Sequence[Flaw]
# Paths are made on the way back from a flaw, so that a request without one costs none.
Check = Callable[[Any], Flaws]
"""A check of a value; for a value that cannot be wrong there is none."""

NONE: Flaws = ()


def check_message(message: Message) -> None:
    """Check a request against its proto's rules. Raises InvalidArgument naming every field at fault."""
    if flaws := _message_check(message.DESCRIPTOR)(message):
        raise InvalidArgument([FieldViolation(path.removeprefix("."), description) for path, description in flaws])


def _within(path: str, flaws: Flaws) -> list[Flaw]:
    return [Flaw(path + inner, description) for inner, description in flaws]


def _flaw(description: str) -> Flaws:
    return (Flaw("", description),)


@cache
def _message_check(descriptor: Descriptor) -> Check:
    if descriptor.full_name in _WELL_KNOWN:
        return _WELL_KNOWN[descriptor.full_name]
    required = [field for field in descriptor.fields if _is_required(field)]
    checks: dict[FieldDescriptor, Check | None] = {}

    def check(message: Any) -> Flaws:
        flaws: list[Flaw] = []
        present = message.ListFields()
        for field, value in present:
            try:
                found = checks[field]
            except KeyError:
                # Compiled on first use, so that messages may contain themselves.
                found = checks[field] = _field_check(field)
            if found is not None and (broken := found(value)):
                flaws += _within(f".{field.name}", broken)
        if required:
            given = {field for field, _ in present}
            flaws += [Flaw(f".{field.name}", "is required") for field in required if field not in given]
        return flaws

    return check


def _rules_of(field: FieldDescriptor) -> FieldRules:
    return field.GetOptions().Extensions[rules]


def _is_required(field: FieldDescriptor) -> bool:
    stated = _rules_of(field)
    # A number without presence is absent when it is 0, which a least number above 0 forbids.
    implied = not field.has_presence and not field.is_repeated and stated.HasField("gte") and stated.gte > 0
    return stated.required or stated.min_items > 0 or implied


def _field_check(field: FieldDescriptor) -> Check | None:
    stated = _rules_of(field)
    if field.is_repeated:
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            return _items_check(stated, _map_check(field))
        return _items_check(stated, _each(_single_check(field, stated)))
    return _single_check(field, stated)


def _items_check(stated: FieldRules, each: Check | None) -> Check:
    least, most = stated.min_items, stated.max_items or DEFAULT_ITEMS

    def check(values: Any) -> Flaws:
        if not least <= len(values) <= most:
            return _flaw(f"has {len(values)} entries; allowed are {least} to {most}")
        return each(values) if each is not None else NONE

    return check


def _each(check: Check | None) -> Check | None:
    if check is None:
        return None

    def check_all(values: Any) -> Flaws:
        flaws: list[Flaw] = []
        for index, value in enumerate(values):
            if broken := check(value):
                flaws += _within(f"[{index}]", broken)
        return flaws

    return check_all


def _map_check(field: FieldDescriptor) -> Check:
    assert field.message_type is not None
    entry = field.message_type.fields_by_name
    keys, values = _single_check(entry["key"], FieldRules()), _single_check(entry["value"], FieldRules())

    def check(mapping: Any) -> Flaws:
        flaws: list[Flaw] = []
        for key, value in mapping.items():
            flaws += _within(" key", keys(key) if keys is not None else NONE)
            flaws += _within(f"[{key!r}]", values(value) if values is not None else NONE)
        return flaws

    return check


def _single_check(field: FieldDescriptor, stated: FieldRules) -> Check | None:
    if field.message_type is not None:
        if field.message_type.full_name in ("google.protobuf.Struct", "google.protobuf.Value"):
            return _struct_check(stated)
        inner = _message_check(field.message_type)
        if field.message_type.full_name == "google.protobuf.Duration":
            return _both(inner, _number_check(stated, lambda value: value.seconds + value.nanos / 1e9))
        return inner
    if field.enum_type is not None:
        defined = frozenset(field.enum_type.values_by_number)
        return lambda value: NONE if value in defined else _flaw(f"{value} is not a value of the enum")
    if field.type == FieldDescriptor.TYPE_STRING:
        return _string_check(stated)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return _length_check(stated)
    if field.type not in FLOATS and not stated.HasField("gte") and not stated.HasField("lte"):
        return None
    return _number_check(stated, lambda value: value)


def _both(first: Check, second: Check) -> Check:
    return lambda value: [*first(value), *second(value)]


def _string_check(stated: FieldRules) -> Check:
    least, most = stated.min_len, stated.max_len or (2**31 if stated.text else DEFAULT_STRING_BYTES)
    pattern = IDENTIFIER if stated.identifier else re.compile(stated.pattern) if stated.pattern else None

    def check(value: str) -> Flaws:
        length = len(value) if value.isascii() else len(value.encode())
        if not least <= length <= most:
            return _flaw(f"is {length} bytes long; allowed are {least} to {most}")
        if "\0" in value:
            return _flaw("holds a NUL character")
        if pattern is not None and pattern.fullmatch(value) is None:
            return _flaw(f"does not match {pattern.pattern}")
        return NONE

    return check


def _length_check(stated: FieldRules) -> Check:
    least, most = stated.min_len, stated.max_len or DEFAULT_STRING_BYTES

    def check(value: bytes) -> Flaws:
        if not least <= len(value) <= most:
            return _flaw(f"is {len(value)} bytes long; allowed are {least} to {most}")
        return NONE

    return check


def _number_check(stated: FieldRules, number_of: Callable[[Any], float]) -> Check:
    least = stated.gte if stated.HasField("gte") else -math.inf
    most = stated.lte if stated.HasField("lte") else math.inf

    def check(value: Any) -> Flaws:
        number = number_of(value)
        if not math.isfinite(number):
            return _flaw("is not a finite number")
        if not least <= number <= most:
            return _flaw(f"is {number:g}; allowed are {least:g} to {most:g}")
        return NONE

    return check


def _struct_check(stated: FieldRules) -> Check:
    most = stated.max_len or DEFAULT_STRUCT_BYTES

    def check(value: Any) -> Flaws:
        if (size := value.ByteSize()) > most:
            return _flaw(f"is {size} bytes long; allowed are {most}")
        if (flaw := _struct_flaw(value, STRUCT_DEPTH)) is not None:
            return _flaw(flaw)
        return NONE

    return check


def _struct_flaw(value: Any, depth: int) -> str | None:
    """What keeps a Struct, ListValue or Value from being JSON; None when nothing does."""
    if depth < 0:
        return f"is nested deeper than {STRUCT_DEPTH} levels"
    name = value.DESCRIPTOR.name
    if name == "Struct":
        if any("\0" in key for key in value.fields):
            return "holds a NUL character"
        inner = value.fields.values()
    elif name == "ListValue":
        inner = value.values
    else:
        kind = value.WhichOneof("kind")
        if kind is None:
            return "holds a value of no kind"
        if kind == "number_value" and not math.isfinite(value.number_value):
            return "holds a number that is not finite"
        if kind == "string_value" and "\0" in value.string_value:
            return "holds a NUL character"
        inner = [getattr(value, kind)] if kind in ("struct_value", "list_value") else []
    return next((flaw for each in inner if (flaw := _struct_flaw(each, depth - 1)) is not None), None)


def _check_timestamp(value: Any) -> Flaws:
    first, last = TIMESTAMP_SECONDS
    if first <= value.seconds <= last and 0 <= value.nanos < 1_000_000_000:
        return NONE
    return _flaw("is not a time between years 1 and 9999")


def _check_duration(value: Any) -> Flaws:
    agree = value.seconds == 0 or value.nanos == 0 or (value.seconds > 0) == (value.nanos > 0)
    if abs(value.seconds) <= DURATION_SECONDS and abs(value.nanos) < 1_000_000_000 and agree:
        return NONE
    return _flaw("is not a duration")


_WELL_KNOWN: dict[str, Check] = {
    "google.protobuf.Timestamp": _check_timestamp,
    "google.protobuf.Duration": _check_duration,
    "google.protobuf.Struct": _struct_check(FieldRules()),
    "google.protobuf.Value": _struct_check(FieldRules()),
    "google.protobuf.ListValue": _struct_check(FieldRules()),
}
