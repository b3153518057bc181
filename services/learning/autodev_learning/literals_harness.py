"""How a call ended, as text, inside the sandbox: behind the text of calls_harness.py."""

from __future__ import annotations

MAX_ERROR_CHARACTERS = 300
MAX_NESTING = 50


def literal(value: object) -> str:
    try:
        return repr(plain(value, MAX_NESTING))
    except (TypeError, ValueError):
        return repr(value)


def plain(value: object, levels: int) -> object:
    """Strip subclasses (OrderedDict, namedtuple, IntEnum ...), whose repr is no literal, down to what they equal."""
    if levels == 0:
        raise ValueError("nested too deep")
    if value is None or isinstance(value, bool | bytes | complex):
        return value
    if isinstance(value, int):
        return int.__pos__(value)
    if isinstance(value, float):
        return float.__pos__(value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, dict):
        return {plain(key, levels - 1): plain(item, levels - 1) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item, levels - 1) for item in value]
    if isinstance(value, tuple):
        return tuple(plain(item, levels - 1) for item in value)
    if isinstance(value, set | frozenset):
        return {plain(item, levels - 1) for item in value}
    return value


def describe(error: BaseException) -> str:
    try:
        message = str(error)[:MAX_ERROR_CHARACTERS]
    except BaseException:
        message = "(its message cannot be made)"
    return f"{type(error).__name__}: {message}"
