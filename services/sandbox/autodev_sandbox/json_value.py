"""What counts as a JSON-shaped value: what every JSON reader, and protobuf's Value, keeps exactly (RFC 7493)."""

import math
from typing import NamedTuple

from autodev_runtime.json_value import JsonValue

MAX_NESTING = 30  # A protobuf reader gives up at 100 nested messages; an object takes three a level.
MAX_INTEGER = 2**53 - 1


class NotJsonShaped(ValueError):
    """The value is not JSON-shaped; the message says where."""


class Flaw(NamedTuple):
    """What is wrong: the path from the value that was looked at, made on the way back, and the words."""

    path: str
    words: str


def check_json(value: JsonValue) -> None:
    """Raise NotJsonShaped unless another reader gets exactly this value from its JSON text."""
    if flaw := flaw_of(value, MAX_NESTING):
        raise NotJsonShaped(f"the result{flaw.path} {flaw.words}")


def flaw_of(value: JsonValue, levels: int) -> Flaw | None:
    """The first flaw of the value, which may have so many levels."""
    if levels < 0:
        return Flaw("", f"is nested deeper than {MAX_NESTING} levels")
    if isinstance(value, str):
        return None if is_text(value) else Flaw("", "holds half a surrogate pair")
    if isinstance(value, int):
        beyond = "is an integer beyond 2**53, which JSON does not keep; give it as a string"
        return Flaw("", beyond) if abs(value) > MAX_INTEGER else None
    if isinstance(value, float):
        return None if math.isfinite(value) else Flaw("", f"is {value}")
    if isinstance(value, list):
        for index, item in enumerate(value):
            if flaw := flaw_of(item, levels - 1):
                return Flaw(f"[{index}]{flaw.path}", flaw.words)
    elif isinstance(value, dict):
        for key, item in value.items():
            if not is_text(key):
                return Flaw("", "has a key that holds half a surrogate pair")
            if flaw := flaw_of(item, levels - 1):
                return Flaw(f"[{key!r}]{flaw.path}", flaw.words)
    return None


def is_text(text: str) -> bool:
    """Whether it can be written: half a surrogate pair cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
