"""A way to a server on which connections can be lost."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from typing import Self

HOST = "127.0.0.1"
NO_LINGERING = struct.pack("ii", 1, 0)


class Passage:
    """A port of this machine that leads to a server. An asynchronous context manager."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._server_at = host, int(port)
        self._port = 0
        self._connections: set[asyncio.StreamWriter] = set()

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
            answers, there = await asyncio.open_connection(*self._server_at)
            await asyncio.gather(pass_on(reader, there), pass_on(answers, writer))
        except ConnectionError:
            writer.close()
        finally:
            self._connections.discard(writer)


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Write what is read, to the end."""
    with contextlib.suppress(ConnectionError):
        while chunk := await reader.read(65536):
            writer.write(chunk)
            await writer.drain()
    writer.close()
