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
MOST_VALUES = 200_000
"""What lists, and JSON at any depth, hold in a message altogether: a message of a few MiB could hold millions, and each
is looked at while every other call waits. As many as the numbers of a Struct of 2 MiB, the largest of any field."""
MOST_FLAWS = 50
"""After so many, no more are looked for: an answer tells no more either."""
IDENTIFIER = re.compile(r"[A-Za-z0-9._:/@-]{1,128}")
TIMESTAMP_SECONDS = (-62135596800, 253402300799)
DURATION_SECONDS = 315576000000
FLOATS = (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT)


class Flaw(NamedTuple):
    """A rule that is broken: the path from the value that was checked (`.name`, `[3].name`), and the rule in words."""

    path: str
    description: str


class Left:
    """How many more values the message may hold."""

    __slots__ = ("values",)

    def __init__(self) -> None:
        self.values = MOST_VALUES

    def take(self, count: int) -> bool:
        """Whether so many more may be looked at."""
        self.values -= count
        return self.values >= 0


Flaws = Sequence[Flaw]
# Paths are made on the way back from a flaw, so that a request without one costs none.
Check = Callable[[Any, Left], Flaws]
"""A check of a value; for a value that cannot be wrong there is none."""

NONE: Flaws = ()
TOO_MANY = f"takes the message past {MOST_VALUES} values, in lists and JSON together; send less at a time"
TOO_DEEP = f"is nested deeper than {STRUCT_DEPTH} levels"
NUL = "holds a NUL character"


def check_message(message: Message) -> None:
    """Check a request against its proto's rules. Raises InvalidArgument naming every field at fault, or enough."""
    if flaws := _message_check(message.DESCRIPTOR)(message, Left()):
        raise InvalidArgument([FieldViolation(path.removeprefix("."), description) for path, description in flaws])


def _within(path: str, flaws: Flaws) -> list[Flaw]:
    return [Flaw(path + inner, description) for inner, description in flaws]


def _flaw(description: str) -> Flaws:
    return (Flaw("", description),)


def _enough(flaws: Flaws, left: Left) -> bool:
    """Whether to look no further."""
    return len(flaws) >= MOST_FLAWS or left.values < 0


@cache
def _message_check(descriptor: Descriptor) -> Check:
    if descriptor.full_name in _WELL_KNOWN:
        return _WELL_KNOWN[descriptor.full_name]
    required = frozenset(field for field in descriptor.fields if _is_required(field))
    checks: dict[FieldDescriptor, tuple[Check | None, bool]] = {}

    def check(message: Any, left: Left) -> Flaws:
        flaws: list[Flaw] = []
        missing = len(required)
        present = message.ListFields()
        for field, value in present:
            try:
                found, is_required = checks[field]
            except KeyError:
                # Compiled on first use, so that messages may contain themselves.
                found, is_required = checks[field] = _field_check(field), field in required
            missing -= is_required
            if found is not None and (broken := found(value, left)):
                flaws += _within(f".{field.name}", broken)
                if _enough(flaws, left):
                    return flaws
        if missing:
            given = {field for field, _ in present}
            flaws += [Flaw(f".{field.name}", "is required") for field in descriptor.fields if field in required - given]
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

    def check(values: Any, left: Left) -> Flaws:
        count = len(values)
        if not least <= count <= most:
            return _flaw(f"has {count} entries; allowed are {least} to {most}")
        if each is None:
            return NONE
        return each(values, left) if left.take(count) else _flaw(TOO_MANY)

    return check


def _each(check: Check | None) -> Check | None:
    if check is None:
        return None

    def check_all(values: Any, left: Left) -> Flaws:
        flaws: list[Flaw] = []
        for index, value in enumerate(values):
            if broken := check(value, left):
                flaws += _within(f"[{index}]", broken)
                if _enough(flaws, left):
                    break
        return flaws

    return check_all


def _map_check(field: FieldDescriptor) -> Check:
    assert field.message_type is not None
    entry = field.message_type.fields_by_name
    keys, values = _single_check(entry["key"], FieldRules()), _single_check(entry["value"], FieldRules())

    def check(mapping: Any, left: Left) -> Flaws:
        flaws: list[Flaw] = []
        for key, value in mapping.items():
            flaws += _within(" key", keys(key, left) if keys is not None else NONE)
            flaws += _within(f"[{key!r}]", values(value, left) if values is not None else NONE)
            if _enough(flaws, left):
                break
        return flaws

    return check


def _single_check(field: FieldDescriptor, stated: FieldRules) -> Check | None:
    if field.message_type is not None:
        if field.message_type.full_name in _JSON:
            return _json_check(stated, _JSON[field.message_type.full_name])
        inner = _message_check(field.message_type)
        if field.message_type.full_name == "google.protobuf.Duration":
            return _both(inner, _number_check(stated, lambda value: value.seconds + value.nanos / 1e9))
        return inner
    if field.enum_type is not None:
        defined = frozenset(field.enum_type.values_by_number)
        return lambda value, _: NONE if value in defined else _flaw(f"{value} is not a value of the enum")
    if field.type == FieldDescriptor.TYPE_STRING:
        return _string_check(stated)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return _length_check(stated)
    if field.type not in FLOATS and not stated.HasField("gte") and not stated.HasField("lte"):
        return None
    return _number_check(stated, lambda value: value)


def _both(first: Check, second: Check) -> Check:
    return lambda value, left: [*first(value, left), *second(value, left)]


def _string_check(stated: FieldRules) -> Check:
    least, most = stated.min_len, stated.max_len or (2**31 if stated.text else DEFAULT_STRING_BYTES)
    pattern = IDENTIFIER if stated.identifier else re.compile(stated.pattern) if stated.pattern else None

    def check(value: str, _: Left) -> Flaws:
        length = len(value) if value.isascii() else len(value.encode())
        if not least <= length <= most:
            return _flaw(f"is {length} bytes long; allowed are {least} to {most}")
        if "\0" in value:
            return _flaw(NUL)
        if pattern is not None and pattern.fullmatch(value) is None:
            return _flaw(f"does not match {pattern.pattern}")
        return NONE

    return check


def _length_check(stated: FieldRules) -> Check:
    least, most = stated.min_len, stated.max_len or DEFAULT_STRING_BYTES

    def check(value: bytes, _: Left) -> Flaws:
        if not least <= len(value) <= most:
            return _flaw(f"is {len(value)} bytes long; allowed are {least} to {most}")
        return NONE

    return check


def _number_check(stated: FieldRules, number_of: Callable[[Any], float]) -> Check:
    least = stated.gte if stated.HasField("gte") else -math.inf
    most = stated.lte if stated.HasField("lte") else math.inf

    def check(value: Any, _: Left) -> Flaws:
        number = number_of(value)
        if not math.isfinite(number):
            return _flaw("is not a finite number")
        if not least <= number <= most:
            return _flaw(f"is {number:g}; allowed are {least:g} to {most:g}")
        return NONE

    return check


def _json_check(stated: FieldRules, flaw_of: "JsonFlaw") -> Check:
    most = stated.max_len or DEFAULT_STRUCT_BYTES

    def check(value: Any, left: Left) -> Flaws:
        if (size := value.ByteSize()) > most:
            return _flaw(f"is {size} bytes long; allowed are {most}")
        if (flaw := flaw_of(value, STRUCT_DEPTH, left)) is not None:
            return _flaw(flaw)
        return NONE

    return check


JsonFlaw = Callable[[Any, int, Left], str | None]
"""What keeps a Struct, ListValue or Value from being JSON, the first thing; None when nothing does."""


def _object_flaw(struct: Any, depth: int, left: Left) -> str | None:
    fields = struct.fields
    if (flaw := _holder_flaw(len(fields), depth, left)) is not None:
        return flaw
    for key, value in fields.items():
        if "\0" in key:
            return NUL
        if (flaw := _value_flaw(value, depth - 1, left)) is not None:
            return flaw
    return None


def _array_flaw(array: Any, depth: int, left: Left) -> str | None:
    values = array.values
    if (flaw := _holder_flaw(len(values), depth, left)) is not None:
        return flaw
    for value in values:
        if (flaw := _value_flaw(value, depth - 1, left)) is not None:
            return flaw
    return None


def _holder_flaw(count: int, depth: int, left: Left) -> str | None:
    # What it holds is a level deeper.
    if depth < min(count, 1):
        return TOO_DEEP
    return None if left.take(count) else TOO_MANY


def _value_flaw(value: Any, depth: int, left: Left) -> str | None:
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        return NUL if "\0" in value.string_value else None
    if kind == "number_value":
        return None if math.isfinite(value.number_value) else "holds a number that is not finite"
    if kind == "struct_value":
        return _object_flaw(value.struct_value, depth - 1, left)
    if kind == "list_value":
        return _array_flaw(value.list_value, depth - 1, left)
    return "holds a value of no kind" if kind is None else None


_JSON: dict[str, JsonFlaw] = {
    "google.protobuf.Struct": _object_flaw,
    "google.protobuf.Value": _value_flaw,
    "google.protobuf.ListValue": _array_flaw,
}


def _check_timestamp(value: Any, _: Left) -> Flaws:
    first, last = TIMESTAMP_SECONDS
    if first <= value.seconds <= last and 0 <= value.nanos < 1_000_000_000:
        return NONE
    return _flaw("is not a time between years 1 and 9999")


def _check_duration(value: Any, _: Left) -> Flaws:
    agree = value.seconds == 0 or value.nanos == 0 or (value.seconds > 0) == (value.nanos > 0)
    if abs(value.seconds) <= DURATION_SECONDS and abs(value.nanos) < 1_000_000_000 and agree:
        return NONE
    return _flaw("is not a duration")


_WELL_KNOWN: dict[str, Check] = {
    "google.protobuf.Timestamp": _check_timestamp,
    "google.protobuf.Duration": _check_duration,
    **{name: _json_check(FieldRules(), flaw_of) for name, flaw_of in _JSON.items()},
}
