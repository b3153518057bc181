"""A way to a server on which connections, and answers, can be lost."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from typing import Self

HOST = "127.0.0.1"
NO_LINGERING = struct.pack("ii", 1, 0)

FRAME_HEAD_BYTES, HEADERS = 9, 0x1
"""Of HTTP/2's frames (RFC 9113, sections 4.1 and 6.2)."""


class Passage:
    """A port of this machine that leads to a server. An asynchronous context manager.

    As many first connections as there are answers to lose end where the server's first answer would begin.
    """

    def __init__(self, address: str, answers_to_lose: int = 0) -> None:
        host, _, port = address.rpartition(":")
        self._server_at = host, int(port)
        self._port = 0
        self._answers_to_lose = answers_to_lose
        self._connections: set[asyncio.StreamWriter] = set()
        self._onwards: set[asyncio.StreamWriter] = set()

    @property
    def address(self) -> str:
        """Where clients connect to."""
        return f"{HOST}:{self._port}"

    async def __aenter__(self) -> Self:
        await self._listen()
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._lose_all()

    @contextlib.asynccontextmanager
    async def reset(self) -> AsyncIterator[None]:
        """Lose all connections as a machine does that knows them no more (RST), and take none within the block."""
        for writer in self._connections:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGERING)
        async with self.closed():
            yield

    @contextlib.asynccontextmanager
    async def closed(self) -> AsyncIterator[None]:
        """End all connections as a process does that is killed (FIN), and take none within the block."""
        self._lose_all()
        yield
        await self._listen()

    def mute(self) -> None:
        """Pass nothing more on from the server by the connections that there are, without a word to either end."""
        for onward in self._onwards:
            onward.transport.pause_reading()  # type: ignore[attr-defined]

    async def _listen(self) -> None:
        self._listener = await asyncio.start_server(self._lead, HOST, self._port)
        self._port = self._listener.sockets[0].getsockname()[1]

    def _lose_all(self) -> None:
        self._listener.close()
        for writer in self._connections:
            writer.transport.abort()

    async def _lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            answers, onward = await asyncio.open_connection(*self._server_at)
            self._onwards.add(onward)
            await asyncio.gather(pass_on(reader, onward), self._pass_back(answers, writer))
        except ConnectionError:
            writer.close()
        finally:
            self._connections.discard(writer)

    async def _pass_back(self, answers: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._answers_to_lose:
            self._answers_to_lose -= 1
            await pass_on_what_is_no_answer(answers, writer)
            writer.transport.abort()
        else:
            await pass_on(answers, writer)


async def pass_on_what_is_no_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Write the frames by which HTTP/2's connection is set up, up to those of an answer."""
    while (head := await reader.readexactly(FRAME_HEAD_BYTES))[3] != HEADERS:
        writer.write(head + await reader.readexactly(int.from_bytes(head[:3])))


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Write what is read, to the end."""
    with contextlib.suppress(ConnectionError):
        while chunk := await reader.read(65536):
            writer.write(chunk)
            await writer.drain()
    writer.close()
