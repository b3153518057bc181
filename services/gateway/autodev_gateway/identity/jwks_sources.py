"""Where a key set comes from: a file, or an HTTPS address, within bounds of size and time."""

import asyncio
import contextlib
import http.client
import socket
import ssl
from pathlib import Path
from urllib.parse import urlsplit

from autodev_gateway.identity.jwks import MOST_BYTES, Source, SourceError

FETCH_S = 5.0


def file_source(path: Path) -> Source:
    """A file, read each time."""

    def read() -> bytes:
        try:
            with path.open("rb") as file:
                return file.read(MOST_BYTES + 1)
        except OSError as error:
            raise SourceError(f"{path}: {error.strerror}") from error

    return lambda: asyncio.to_thread(read)


def url_source(url: str, ca_file: Path | None, timeout_s: float = FETCH_S) -> Source:
    """An address. No redirect is followed and no proxy asked."""

    async def fetch() -> bytes:
        connection = _connection(url, ca_file, timeout_s)
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.to_thread(_get, connection, url)
        except TimeoutError as error:
            # The thread waits for a byte at a time, each within the timeout: this ends it whatever comes.
            with contextlib.suppress(OSError):
                if connection.sock is not None:
                    connection.sock.shutdown(socket.SHUT_RDWR)
            raise SourceError(f"{url} did not answer within {timeout_s:g} s") from error

    return fetch


def _connection(url: str, ca_file: Path | None, timeout_s: float) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    assert parts.hostname is not None
    if parts.scheme == "http":
        return http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout_s)
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise SourceError(f"{ca_file}: {error}") from error
    return http.client.HTTPSConnection(parts.hostname, parts.port, timeout=timeout_s, context=context)


def _get(connection: http.client.HTTPConnection, url: str) -> bytes:
    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request("GET", path, headers={"Accept": "application/json", "Connection": "close"})
        answer = connection.getresponse()
        if answer.status != http.HTTPStatus.OK:
            raise SourceError(f"{url} answered {answer.status}")
        return answer.read(MOST_BYTES + 1)
    except (OSError, http.client.HTTPException) as error:
        raise SourceError(f"{url}: {error or type(error).__name__}") from error
    finally:
        connection.close()
