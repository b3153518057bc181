"""The supervisor's channel to the host, whose descriptors no other process in here has, and what is said on it.

`wire.py` is the other end.
"""

from __future__ import annotations

import marshal
import posix
import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# To a host that cannot see it otherwise, on stderr.
READY = b"ready\n"
# What a frame holds. UNLOADED: the report of an interpreter that ended before it could be called.
STDOUT, STDERR, FILE, UNLOADED, CALL, REPORT = b"o", b"e", b"f", b"u", b"c", b"r"
# Why the supervisor ended the execution. ANSWERED: a call that left its interpreter alive.
EXITED, TIMEOUT, OUTPUT_LIMIT, ANSWERED = 0, 1, 2, 3
# A message of the code's process: one of these, JSON text, and a brace.
VALUE, ERROR = '{"value": ', '{"error": '
ERROR_BYTES = 256 * 1024
# What each of an error's three parts may have where it is cut: as JSON text a character takes twelve bytes at most.
CUT_CHARACTERS = (ERROR_BYTES - 100) // 12 // 3
LENGTH_BYTES = 4
CHUNK_BYTES = 65536
FLUSH_BYTES = 32768


def most_value_bytes(output_bytes: int) -> int:
    """How long a message with a value may be."""
    return len(VALUE) + output_bytes + 1


def most_message_bytes(output_bytes: int) -> int:
    """How long any message may be: an error has a room of its own, however little output is wanted."""
    return max(most_value_bytes(output_bytes), ERROR_BYTES)


class HostGone(Exception):
    """Nobody waits for the result any more."""


class Host:
    """What comes from the host is trusted; nothing that comes out of the sandbox is read this way."""

    def __init__(self, incoming: int, outgoing: int) -> None:
        self.incoming = incoming
        self.outgoing = outgoing
        self.received = bytearray()
        self.unsent: list[bytes] = []
        self.unsent_bytes = 0

    def request(self) -> dict[str, Any]:
        """Wait for the request, and take no byte beyond it: the code's fork must not have its later inputs.

        Raises HostGone.
        """
        while (data := self.next_piece()) is None:
            self.receive(self.missing_bytes())
        request: dict[str, Any] = marshal.loads(data)
        return request

    def has_sent(self, within_ms: int) -> bool:
        """Whether the request comes within that time, or the host goes."""
        poller = select.poll()
        poller.register(self.incoming, select.POLLIN)
        return bool(poller.poll(within_ms))

    def missing_bytes(self) -> int:
        if len(self.received) < LENGTH_BYTES:
            return LENGTH_BYTES - len(self.received)
        return LENGTH_BYTES + int.from_bytes(self.received[:LENGTH_BYTES], "big") - len(self.received)

    def receive(self, max_bytes: int = CHUNK_BYTES) -> None:
        """Take what the host sent. Raises HostGone: the host closes nothing before it has the report."""
        try:
            chunk = posix.read(self.incoming, max_bytes)
        except ConnectionResetError:
            chunk = b""
        if not chunk:
            raise HostGone
        self.received += chunk

    def next_piece(self) -> bytes | None:
        """The next whole piece, None while there is none."""
        size = int.from_bytes(self.received[:LENGTH_BYTES], "big")
        end = LENGTH_BYTES + size
        if len(self.received) < max(end, LENGTH_BYTES):
            return None
        data = bytes(self.received[LENGTH_BYTES:end])
        del self.received[:end]
        return data

    def add(self, kind: bytes, body: bytes) -> None:
        """Send a frame with those that follow."""
        self.unsent += (kind, len(body).to_bytes(LENGTH_BYTES, "big"), body)
        self.unsent_bytes += len(body)
        if self.unsent_bytes > FLUSH_BYTES:
            self.flush()

    def send(self, kind: bytes, body: bytes) -> None:
        """Send a frame now."""
        self.add(kind, body)
        self.flush()

    def flush(self) -> None:
        """Send what is left. Raises HostGone."""
        data = b"".join(self.unsent)
        self.unsent.clear()
        self.unsent_bytes = 0
        while data:
            try:
                data = data[posix.write(self.outgoing, data) :]
            except (BrokenPipeError, ConnectionResetError):
                raise HostGone from None
