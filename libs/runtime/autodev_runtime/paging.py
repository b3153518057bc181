"""Opaque page tokens (AIP-158): the key of the last row sent, and nothing a caller should read."""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from typing import TypeVar

from google.protobuf.message import Message

from autodev_runtime.errors import InvalidArgument

DEFAULT_PAGE = 50
PAGE_BYTES = 3 * 1024 * 1024
"""Of a page's rows. gRPC takes no message past 4 MiB by default, in any language; an answer is more than its rows."""
Key = Sequence[str | int | float]


def page_size(requested: int) -> int:
    """How many rows to send: what was asked for, or 50."""
    return requested or DEFAULT_PAGE


Row = TypeVar("Row")
SomeMessage = TypeVar("SomeMessage", bound=Message)


def fitting(messages: Sequence[SomeMessage], most_bytes: int = PAGE_BYTES) -> Sequence[SomeMessage]:
    """The first of the messages, as many as an answer may hold; one at least. A page may be shorter than asked for."""
    total = 0
    for count, message in enumerate(messages):
        total += message.ByteSize()
        if total > most_bytes and count:
            return messages[:count]
    return messages


def page_of(
    found: Sequence[Row], size: int, to_proto: Callable[[Row], SomeMessage], key_of: Callable[[Row], Key]
) -> tuple[Sequence[SomeMessage], str]:
    """A page's messages, and the token of the page that follows; none follows the last.

    `found` are the rows from the page's first on: one more than `size`, where there are so many.
    """
    messages = fitting([to_proto(row) for row in found[:size]])
    more = len(messages) < len(found)
    return messages, token_after(key_of(found[len(messages) - 1])) if more else ""


def token_after(key: Key) -> str:
    """The token of the page that follows the row with this key."""
    return base64.urlsafe_b64encode(json.dumps(list(key), separators=(",", ":")).encode()).decode().rstrip("=")


def key_from(token: str, *kinds: type) -> list[str | int | float] | None:
    """The key that a token holds, a value of each kind in order; None for no token. Raises InvalidArgument."""
    if not token:
        return None
    try:
        decoded = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        key = json.loads(decoded, parse_constant=_refuse)
    except (binascii.Error, ValueError, RecursionError) as error:
        raise _no_token() from error
    fits = isinstance(key, list) and len(key) == len(kinds)
    if not fits or any(type(value) is not kind for value, kind in zip(key, kinds, strict=True)):
        raise _no_token()
    if not all(map(_storable, key)):
        raise _no_token()
    return list(key)


def _storable(value: str | int | float) -> bool:
    """Whether every database can compare it: JSON may hold larger numbers and text that has no encoding."""
    if isinstance(value, str):
        return "\0" not in value and value.encode(errors="replace").decode() == value
    return isinstance(value, float) or -(2**63) <= value < 2**63


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no number of JSON")


def _no_token() -> InvalidArgument:
    return InvalidArgument.field("page_token", "is not a token that this list gave")
