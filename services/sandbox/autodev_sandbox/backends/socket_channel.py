"""A supervisor's channel as a socket of ours."""

import asyncio
import socket

CHUNK_BYTES = 65536


class SocketChannel:
    """The host's end. Made from a connected stream socket, which it takes over."""

    def __init__(self, connected: socket.socket) -> None:
        connected.setblocking(False)
        self.socket = connected
        self._loop = asyncio.get_running_loop()

    async def send(self, data: bytes) -> None:
        """Give bytes to the other end; one that is gone takes them silently."""
        try:
            await self._loop.sock_sendall(self.socket, data)
        except (BrokenPipeError, ConnectionResetError):
            return

    async def receive(self) -> bytes:
        """The next bytes; none when the other end is gone."""
        try:
            return await self._loop.sock_recv(self.socket, CHUNK_BYTES)
        except ConnectionResetError:
            return b""

    def quiet(self) -> bool:
        """Whether the other end is there and has said nothing."""
        try:
            self.socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def close(self) -> None:
        """Let go of the socket."""
        self.socket.close()


def channel_pair() -> tuple[SocketChannel, socket.socket]:
    """The host's end and the one to give away."""
    ours, theirs = socket.socketpair()
    return SocketChannel(ours), theirs
