"""What counts as a JSON-shaped value: what every JSON reader, and protobuf's Value, keeps exactly (RFC 7493)."""

import math

from autodev_runtime.json_value import JsonValue

MAX_NESTING = 30  # A protobuf reader gives up at 100 nested messages; an object takes three a level.
MAX_INTEGER = 2**53 - 1


class NotJsonShaped(ValueError):
    """The value is not JSON-shaped; the message says where."""


def check_json(value: JsonValue, path: str = "the result", levels: int = MAX_NESTING) -> None:
    """Raise NotJsonShaped unless another reader gets exactly this value from its JSON text."""
    if levels < 0:
        raise NotJsonShaped(f"{path} is nested deeper than {MAX_NESTING} levels")
    if isinstance(value, str):
        check_text(value, path)
    elif isinstance(value, int):
        if abs(value) > MAX_INTEGER:
            raise NotJsonShaped(f"{path} is an integer beyond 2**53, which JSON does not keep; give it as a string")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise NotJsonShaped(f"{path} is {value}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            check_json(item, f"{path}[{index}]", levels - 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            check_text(key, f"a key of {path}")
            check_json(item, f"{path}[{key!r}]", levels - 1)


def check_text(text: str, path: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise NotJsonShaped(f"{path} holds half a surrogate pair") from error
