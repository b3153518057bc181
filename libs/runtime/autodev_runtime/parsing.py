"""From a request's bytes to a message that is within its proto's rules."""

from collections.abc import Callable
from typing import Any

from google.protobuf.message import Message

from autodev_runtime.errors import InvalidArgument
from autodev_runtime.rules import check_message


def parser(deserialize: Callable[[bytes], Any] | None) -> Callable[[bytes], Any]:
    """What makes a method's requests of bytes, which stay bytes without `deserialize`. It raises InvalidArgument."""
    if deserialize is None:
        return lambda request: request

    def parse(request: bytes) -> Any:
        try:
            message = deserialize(request)
        except Exception as error:
            raise InvalidArgument.field("request", "is no valid encoding of the method's request message") from error
        if isinstance(message, Message):
            check_message(message)
        return message

    return parse
