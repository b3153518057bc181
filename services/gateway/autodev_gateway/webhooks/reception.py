"""Takes connections in, a bounded number at once: one in its TLS handshake holds as much as one that is served."""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Final

from aiohttp import web

from autodev_gateway import metrics
from autodev_runtime.settings import host_port
from autodev_runtime.starting import CannotStart
from autodev_sdk.ending import ended

log = logging.getLogger(__name__)

HANDSHAKE_S: Final = 10.0
RETRY_S: Final = 1.0
WAITING: Final = 128
"""Connections that the system keeps until they are taken in."""


async def listening_at(host: str, port: int) -> socket.socket:
    """A socket that listens there. Raises CannotStart."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, address = found[0]
    try:
        listening = socket.create_server(address[:2], family=family, backlog=WAITING)
    except OSError as error:
        raise CannotStart(f"cannot listen on {host_port(host, port)} for webhooks: {error.strerror}") from error
    listening.setblocking(False)
    return listening


class Reception:
    """Gives connections to the server, with and without TLS."""

    def __init__(self, server: web.Server, max_connections: int, tls: ssl.SSLContext | None) -> None:
        self._server = server
        self._max_connections = max_connections
        self._tls = tls
        self._opening: set[asyncio.Task[None]] = set()

    async def accept(self, listening: socket.socket) -> None:
        """Take in what comes, until cancelled."""
        try:
            while True:
                try:
                    connection, _ = await asyncio.get_running_loop().sock_accept(listening)
                except OSError as error:
                    log.error("no webhook can come in for the moment: %s", error)
                    await asyncio.sleep(RETRY_S)
                else:
                    self._take_in(connection)
        finally:
            await ended(*self._opening)

    def _take_in(self, connection: socket.socket) -> None:
        full = len(self._server.connections) + len(self._opening) >= self._max_connections
        if full and self._tls is not None:
            # To be told so in TLS, it would have to be let in first.
            metrics.WEBHOOKS.labels("busy").inc()
            connection.close()
            return
        opening = asyncio.create_task(self._open(connection, _Full if full else self._server))
        self._opening.add(opening)
        opening.add_done_callback(self._opening.discard)

    async def _open(self, connection: socket.socket, protocol: Callable[[], asyncio.Protocol]) -> None:
        handshake_s = HANDSHAKE_S if self._tls is not None else None
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                protocol, connection, ssl=self._tls, ssl_handshake_timeout=handshake_s
            )
        except OSError:
            # It speaks no TLS, or not in time, or is gone.
            connection.close()


class _Full(asyncio.Protocol):
    """A connection past the bound: told so, and closed."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        metrics.WEBHOOKS.labels("busy").inc()
        assert isinstance(transport, asyncio.Transport)
        transport.write(
            b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )
        transport.close()
