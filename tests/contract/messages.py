"""Messages made from descriptors alone, for fuzzing: plausible ones, and ones that break exactly one rule.

Nothing here knows an RPC by name, so a new RPC is fuzzed the day it is written.
"""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message

from autodev.options.v1.rules_pb2 import FieldRules, rules
from autodev_runtime.rules import DEFAULT_ITEMS, DEFAULT_STRING_BYTES, DEFAULT_STRUCT_BYTES

FILES = (
    "autodev/capability/v1/capability_service.proto",
    "autodev/fitness/v1/fitness_service.proto",
    "autodev/gateway/v1/audit_service.proto",
    "autodev/gateway/v1/episode_service.proto",
    "autodev/gateway/v1/event_service.proto",
    "autodev/gateway/v1/key_service.proto",
    "autodev/gateway/v1/webhook_service.proto",
    "autodev/learning/v1/advisor_service.proto",
    "autodev/learning/v1/evolver_service.proto",
    "autodev/learning/v1/memento_service.proto",
    "autodev/learning/v1/reflection_service.proto",
    "autodev/learning/v1/review_service.proto",
    "autodev/learning/v1/skill_service.proto",
    "autodev/sandbox/v1/sandbox_service.proto",
)
STRUCTS = ("google.protobuf.Struct", "google.protobuf.Value")
MAX_DEPTH = 4
WRONG_TEXTS = ("no such id!; DROP TABLE x", "//")
"""Of which each pattern refuses one."""


def methods() -> list[MethodDescriptor]:
    """Every RPC of the contracts."""
    pool = descriptor_pool.Default()
    files = [pool.FindFileByName(name) for name in FILES]
    return [method for file in files for service in file.services_by_name.values() for method in service.methods]


@dataclass(frozen=True)
class Wrong:
    """A request that breaks one rule: which field, how, and its bytes."""

    field: str
    flaw: str
    request: bytes


def message_class(descriptor: Descriptor) -> type[Message]:
    """The generated class of a message."""
    return message_factory.GetMessageClass(descriptor)


def plausible(descriptor: Descriptor, rng: random.Random, depth: int = 0) -> Any:
    """A message whose required fields and choices are set, others by chance, all within their rules."""
    message: Any = message_class(descriptor)()
    chosen = {rng.choice(oneof.fields).number for oneof in descriptor.oneofs if len(oneof.fields) > 1}
    for field in descriptor.fields:
        stated = field.GetOptions().Extensions[rules]
        in_choice = field.containing_oneof is not None and len(field.containing_oneof.fields) > 1
        needed = stated.required or stated.min_items > 0 or stated.gte > 0 or field.number in chosen
        if needed or (not in_choice and depth < MAX_DEPTH and rng.random() < 0.5):
            _set(message, field, stated, rng, depth)
    return message


def _set(message: Any, field: FieldDescriptor, stated: FieldRules, rng: random.Random, depth: int) -> None:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return
    if field.message_type is not None:
        target = getattr(message, field.name)
        _fill(target.add() if field.is_repeated else target, field, stated, rng, depth)
    elif field.is_repeated:
        getattr(message, field.name).append(_scalar(field, stated, rng))
    else:
        setattr(message, field.name, _scalar(field, stated, rng))


def _fill(target: Any, field: FieldDescriptor, stated: FieldRules, rng: random.Random, depth: int) -> None:
    assert field.message_type is not None
    name = field.message_type.full_name
    if name == "google.protobuf.Struct":
        target["x"] = rng.random()
    elif name == "google.protobuf.Value":
        target.string_value = "x"
    elif name == "google.protobuf.Duration":
        target.seconds = max(1, int(stated.gte))
    elif name == "google.protobuf.Timestamp":
        target.seconds = rng.randrange(0, 2_000_000_000)
    else:
        target.SetInParent()
        target.MergeFrom(plausible(field.message_type, rng, depth + 1))


def _scalar(field: FieldDescriptor, stated: FieldRules, rng: random.Random) -> Any:
    if field.enum_type is not None:
        numbers = [each for each in field.enum_type.values_by_number if each]
        return rng.choice(numbers)
    if field.type == FieldDescriptor.TYPE_STRING:
        if stated.pattern.startswith("[0-9a-f]{8}"):
            return f"018f0000-0000-7000-8000-{rng.randrange(16**12):012x}"
        return "1.0.0" if stated.pattern.startswith("[0-9]+[.]") else rng.choice(["x1", "agent_1", "print_1"])
    if field.type == FieldDescriptor.TYPE_BOOL:
        return True
    if field.type == FieldDescriptor.TYPE_BYTES:
        return b"x"
    return 1 if not stated.HasField("gte") else max(1, int(stated.gte))


def wrong_requests(method: MethodDescriptor, rng: random.Random) -> Iterator[Wrong]:
    """Requests of a method that must be answered INVALID_ARGUMENT, one for each rule of each field."""
    descriptor = method.input_type
    yield Wrong("request", "no protobuf", b"\xff\xff\xff\xff\xff")
    for field in descriptor.fields:
        if field.type == FieldDescriptor.TYPE_STRING and not field.is_repeated:
            valid = plausible(descriptor, rng)
            broken = valid.SerializeToString() + _tagged(field.number, b"\xff\xfe\xfa")
            yield Wrong(field.name, "invalid UTF-8", broken)
    yield from _wrong_fields(descriptor, lambda: plausible(descriptor, rng), (), rng)


def _wrong_fields(descriptor: Descriptor, fresh: Any, path: tuple[str, ...], rng: random.Random) -> Iterator[Wrong]:
    for field in descriptor.fields:
        stated = field.GetOptions().Extensions[rules]
        for flaw, break_it in _flaws(field, stated):
            request = fresh()
            break_it(_reach(request, path))
            yield Wrong(".".join((*path, field.name)), flaw, request.SerializePartialToString())
        plain = field.message_type is not None and not field.message_type.full_name.startswith("google.protobuf.")
        if plain and len(path) < 3:
            assert field.message_type is not None
            yield from _wrong_fields(field.message_type, fresh, (*path, field.name), rng)


def _reach(request: Any, path: tuple[str, ...]) -> Any:
    target = request
    for name in path:
        field = target.DESCRIPTOR.fields_by_name[name]
        target = getattr(target, name)
        if field.is_repeated:
            if not target:
                target.add()
            target = target[0]
        else:
            target.SetInParent()
    return target


def _flaws(field: FieldDescriptor, stated: FieldRules) -> Iterator[tuple[str, Any]]:
    name = field.name
    if stated.required or stated.min_items > 0:
        yield "missing", lambda target: target.ClearField(name)
    if field.is_repeated:
        if field.type == FieldDescriptor.TYPE_STRING:
            most = stated.max_items or DEFAULT_ITEMS
            yield "too many", lambda target: getattr(target, name).extend(["x"] * (most + 1))
            yield "NUL", lambda target: getattr(target, name).append("a\0b")
        return
    if field.type == FieldDescriptor.TYPE_STRING:
        most = stated.max_len or DEFAULT_STRING_BYTES
        yield "oversize", lambda target: setattr(target, name, "x" * (most + 1))
        yield "NUL", lambda target: setattr(target, name, "a\0b")
        if stated.identifier or stated.pattern:
            wrong = next(text for text in WRONG_TEXTS if not re.fullmatch(stated.pattern, text))
            yield "pattern", lambda target: setattr(target, name, wrong)
    elif field.enum_type is not None:
        yield "unknown enum value", lambda target: setattr(target, name, 4711)
    elif field.message_type is not None:
        yield from _message_flaws(field)
    elif field.type != FieldDescriptor.TYPE_BOOL:
        if stated.HasField("lte"):
            yield "above", lambda target: setattr(target, name, _above(field, stated))
        if stated.HasField("gte"):
            yield "below", lambda target: setattr(target, name, type(getattr(target, name))(stated.gte - 1))
        if field.type == FieldDescriptor.TYPE_DOUBLE:
            yield "NaN", lambda target: setattr(target, name, float("nan"))


def _above(field: FieldDescriptor, stated: FieldRules) -> Any:
    return stated.lte * 2 if field.type == FieldDescriptor.TYPE_DOUBLE else int(stated.lte) + 1


def _message_flaws(field: FieldDescriptor) -> Iterator[tuple[str, Any]]:
    assert field.message_type is not None
    name, kind = field.name, field.message_type.full_name
    stated = field.GetOptions().Extensions[rules]
    if kind == "google.protobuf.Struct":
        most = stated.max_len or DEFAULT_STRUCT_BYTES
        yield "huge", lambda target: getattr(target, name).update({"x": "y" * (most + 1)})
        yield "deep", lambda target: getattr(target, name).update({"x": _nested(40)})
        yield "NUL", lambda target: getattr(target, name).update({"x": "a\0b"})
        yield "NaN", lambda target: getattr(target, name).update({"x": float("nan")})
    elif kind == "google.protobuf.Timestamp":
        yield "year 300,000", lambda target: setattr(getattr(target, name), "seconds", 10**13)
        yield "nanoseconds", lambda target: setattr(getattr(target, name), "nanos", -5)
    elif kind == "google.protobuf.Duration":
        yield "endless", lambda target: setattr(getattr(target, name), "seconds", 10**15)


def _nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def _tagged(number: int, content: bytes) -> bytes:
    key = number << 3 | 2
    encoded = bytes([key]) if key < 128 else bytes([key & 0x7F | 0x80, key >> 7])
    return encoded + bytes([len(content)]) + content
