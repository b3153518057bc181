"""The engine's HTTP where the SDK would need a thread for each stream: attaching to a container, and events."""

import asyncio
import contextlib
import json
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

import docker.utils

from autodev_sandbox.inside.host import READY

HEAD_TIMEOUT_S: Final = 30.0
STDOUT: Final = 1
FRAME_HEAD_BYTES: Final = 8
MAX_COMPLAINT_BYTES: Final = 2000

KEEP_ALIVE: Final = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 15),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
)

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class EngineRefuses(OSError):
    """The engine answered a request with an error."""


@dataclass(frozen=True)
class Address:
    """Where the engine listens: a socket's path, or a host and port with the keys to it."""

    path: str = ""
    host: str = ""
    port: int = 0
    tls: ssl.SSLContext | None = None

    async def connect(self) -> Stream:
        if self.path:
            return await asyncio.open_unix_connection(self.path)
        reader, writer = await asyncio.open_connection(self.host, self.port, ssl=self.tls)
        # An engine that falls silent, with its machine, would be waited for for ever.
        for level, option, value in KEEP_ALIVE:
            writer.get_extra_info("socket").setsockopt(level, option, value)
        return reader, writer


def engine_address() -> Address:
    """As the SDK finds it: DOCKER_HOST, DOCKER_TLS_VERIFY and DOCKER_CERT_PATH. Raises ValueError for ssh."""
    given = docker.utils.kwargs_from_env()
    tls = given.get("tls")
    kind, _, rest = str(docker.utils.parse_host(given.get("base_url"), tls=bool(tls))).partition("://")
    if kind == "http+unix":
        return Address(path="/" + rest.lstrip("/"))
    if kind not in ("http", "https"):
        raise ValueError(
            f"the engine must be reached by unix, tcp or tls, not {kind}. Try: forward its socket by ssh -L"
        )
    host, _, port = rest.rpartition(":")
    return Address(host=host.strip("[]"), port=int(port), tls=tls_context(tls) if tls else None)


def tls_context(given: docker.tls.TLSConfig) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=given.ca_cert)
    if not given.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if given.cert:
        context.load_cert_chain(*given.cert)
    return context


async def attach(address: Address, container: str) -> "Attached":
    """The container's streams. Raises OSError."""
    target = f"/containers/{container}/attach?stream=1&stdin=1&stdout=1&stderr=1"
    return Attached(await request(address, f"POST {target} HTTP/1.1", "Connection: Upgrade", "Upgrade: tcp"))


async def events(address: Address, label: str) -> AsyncIterator[tuple[str, str]]:
    """The containers of that label that run out of memory, die or are removed, as id and "oom", "die" or "destroy".

    The first is a pair of empty strings, when the engine has begun to tell. Ends when the engine does. Raises OSError.
    """
    filters = {"type": ["container"], "label": [label], "event": ["oom", "die", "destroy"]}
    # By HTTP 1.0 the answer ends with the connection, and is not cut into chunks.
    reader, writer = await request(address, f"GET /events?filters={quote(json.dumps(filters))} HTTP/1.0")
    try:
        yield "", ""
        # One that is torn is the last.
        while (line := await reader.readline()).endswith(b"\n"):
            event = json.loads(line)
            yield event["Actor"]["ID"], event["Action"]
    finally:
        writer.close()


async def request(address: Address, line: str, *headers: str) -> Stream:
    """Send a request without a body; the stream that follows the answer's head. Raises OSError."""
    try:
        async with asyncio.timeout(HEAD_TIMEOUT_S):
            reader, writer = await address.connect()
            try:
                writer.write("\r\n".join([line, "Host: engine", *headers, "", ""]).encode())
                head = await reader.readuntil(b"\r\n\r\n")
                if int(head.split(None, 2)[1]) >= 300:
                    said = (await reader.read(MAX_COMPLAINT_BYTES)).decode(errors="replace").strip()
                    raise EngineRefuses(f"the engine refuses {line}: {said}")
            except BaseException:
                writer.close()
                raise
            return reader, writer
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError, IndexError, TimeoutError) as error:
        raise EngineRefuses(f"the engine gives no answer to {line}: {error!r}") from error


class Attached:
    """A container's stdin and stdout."""

    def __init__(self, stream: Stream) -> None:
        self.reader, self.writer = stream
        # What the interpreter said on stderr, where it says nothing if all is well.
        self.complaint = b""

    @property
    def open(self) -> bool:
        """Whether the container's end is there."""
        return not (self.reader.at_eof() or self.reader.exception() or self.writer.is_closing())

    async def send(self, data: bytes) -> None:
        """Give bytes to the container; one that is gone takes them silently."""
        with contextlib.suppress(ConnectionError):
            self.writer.write(data)
            await self.writer.drain()

    async def ready(self) -> bool:
        """Wait until the supervisor inside waits for its request; False if it ends before."""
        while not self.complaint.endswith(READY):
            try:
                await self._frame()
            except (asyncio.IncompleteReadError, OSError):
                return False
        self.complaint = b""
        return True

    async def receive(self) -> bytes:
        """The next bytes of its stdout; none when it is gone."""
        try:
            while not (data := await self._frame()):
                pass
        except (asyncio.IncompleteReadError, OSError):
            return b""
        return data

    async def _frame(self) -> bytes:
        """What the next frame holds of stdout: it has a kind, three zero bytes, a length, and that many bytes."""
        head = await self.reader.readexactly(FRAME_HEAD_BYTES)
        data = await self.reader.readexactly(int.from_bytes(head[4:], "big"))
        if head[0] == STDOUT:
            return data
        self.complaint = (self.complaint + data)[-MAX_COMPLAINT_BYTES:]
        return b""

    def close(self) -> None:
        """Let go of it: the engine closes the container's stdin, which ends the supervisor inside."""
        self.writer.transport.abort()
