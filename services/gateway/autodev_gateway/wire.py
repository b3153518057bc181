"""The few protobuf encodings that the log writes by hand, so that stored events travel without being parsed.

A serialised message is its fields one after the other, in any order (https://protobuf.dev/programming-guides/encoding/).
So a field is added to a stored message by appending its bytes, and messages are made repeated fields of another by
writing each one's tag and length before it. "Sized" bytes are a message with its length before it.
"""

from collections.abc import Iterable
from functools import lru_cache

EVENT_CURSOR = b"\x12"  # Event.cursor = 2
EVENT_RECORDED_AT = b"\x32"  # Event.recorded_at = 6
FIRST_FIELD = b"\x0a"  # field 1, of a string or message type
SECOND_FIELD = b"\x12"
FIRST_NUMBER = b"\x08"
SECOND_NUMBER = b"\x10"
THIRD_FIELD = b"\x1a"


def varint(number: int) -> bytes:
    """A number that is not negative."""
    if number < 0x80:
        return bytes((number,))
    if number < 0x4000:
        return bytes((number & 0x7F | 0x80, number >> 7))
    return bytes((number & 0x7F | 0x80, number >> 7 & 0x7F | 0x80)) + varint(number >> 14)


def sized(message: bytes) -> bytes:
    """The message with its length before it."""
    return varint(len(message)) + message


def recorded(body: bytes, cursor: str, recorded_us: int) -> bytes:
    """A serialised Event with its cursor and recorded_at added, sized."""
    seconds, rest = divmod(recorded_us, 1_000_000)
    head = _timestamp_head(seconds)
    time = head + SECOND_NUMBER + varint(rest * 1000) if rest else head
    added = b"%b%c%b%b%c%b" % (EVENT_CURSOR, len(cursor), cursor.encode(), EVENT_RECORDED_AT, len(time), time)
    return b"%b%b%b" % (varint(len(body) + len(added)), body, added)


@lru_cache(maxsize=4)
def _timestamp_head(seconds: int) -> bytes:
    """The part of a google.protobuf.Timestamp that thousands of events share."""
    return FIRST_NUMBER + varint(seconds)


def joined(sized_events: Iterable[bytes]) -> bytes:
    """Events as a SubscribeResponse has them."""
    return FIRST_FIELD.join((b"", *sized_events))


def subscribe_response(events: bytes, head_cursor: str) -> bytes:
    """A SubscribeResponse of joined events."""
    return events + SECOND_FIELD + sized(head_cursor.encode())


def delivery(delivery_id: str, attempt: int, sized_event: bytes) -> bytes:
    """A ConsumeResponse's field with one Delivery: joined, they are a ConsumeResponse."""
    head = FIRST_FIELD + sized(delivery_id.encode()) + SECOND_NUMBER + varint(attempt) + THIRD_FIELD
    return FIRST_FIELD + varint(len(head) + len(sized_event)) + head + sized_event


def unsized(message: bytes) -> bytes:
    """The message without the length before it."""
    start = 0
    while message[start] & 0x80:
        start += 1
    return message[start + 1 :]
