"""A name server on loopback that answers one name with the addresses that a test sets."""

import asyncio
import socket
import struct
from collections.abc import Sequence

_TYPE_A = 1
_ANSWER = 0x8180
_POINTER_TO_QUESTION = 0xC00C
_TTL_S = 1


class NameServer(asyncio.DatagramProtocol):
    """Answers every question for IPv4 addresses with `addresses`, and has no other answers."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self.addresses = addresses
        self.port = 0
        self._transport: asyncio.DatagramTransport | None = None

    async def __aenter__(self) -> "NameServer":
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))
        self.port = self._transport.get_extra_info("sockname")[1]
        return self

    async def __aexit__(self, *exception: object) -> None:
        assert self._transport is not None
        self._transport.close()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer a query."""
        assert self._transport is not None
        end = data.index(b"\0", 12) + 5
        kind = struct.unpack(">H", data[end - 4 : end - 2])[0]
        addresses = self.addresses if kind == _TYPE_A else ()
        header = data[:2] + struct.pack(">HHHHH", _ANSWER, 1, len(addresses), 0, 0)
        answers = b"".join(
            struct.pack(">HHHIH", _POINTER_TO_QUESTION, _TYPE_A, 1, _TTL_S, 4) + socket.inet_aton(address)
            for address in addresses
        )
        self._transport.sendto(header + data[12:end] + answers, addr)
