"""What the log asks of a JetStream stream: append after a number, get, purge. Plain requests of JetStream's own API.

All of them are answered by the stream's leader, so what was acknowledged is what is read, also where the stream has
replicas. (`Direct` reads and consumers may be behind.)
"""

import asyncio
import base64
import contextlib
import json
import logging
import secrets
import string
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import nats.errors
from nats.aio.client import Client

from autodev_gateway.event_log.jetstream.segment import Segment, unpacked
from autodev_runtime.errors import Unavailable

log = logging.getLogger(__name__)

REQUEST_S = 5.0
FAREWELL_S = 2.0
NOT_FOUND = 404
WRONG_LAST_SEQUENCE = 10071


_PLAIN = frozenset((string.ascii_letters + string.digits + "-_").encode())


class Moved(Exception):
    """Somebody has appended since."""


class Message(NamedTuple):
    """What an append stores together."""

    subject: str
    payload: bytes


class Stream:
    """One stream, by a connection."""

    def __init__(self, connection: Client, name: str) -> None:
        self._connection = connection
        self.name = name

    def subject_of(self, tenant: str) -> str:
        """Where a tenant's events are."""
        return f"{self.name}.{token_of(tenant)}"

    @property
    def all_subjects(self) -> str:
        """Where everybody's are."""
        return f"{self.name}.*"

    @property
    def _notices(self) -> str:
        # Not among the stream's subjects: it is not to be kept.
        return f"{self.name}-notices"

    async def ready(self) -> bool:
        """Whether the server answers for the stream."""
        try:
            await self.last()
        except Unavailable:
            return False
        return True

    async def last(self) -> int:
        """The number of the newest message, whether it is still there or not."""
        state: dict[str, int] = (await self.ask("STREAM.INFO"))["state"]
        return state["last_seq"]

    async def next(self, number: int, subject: str) -> Segment | None:
        """The first message from a number on, of a subject."""
        return await self._get(seq=number, next_by_subj=subject)

    async def get(self, number: int) -> Segment | None:
        """The message with a number."""
        return await self._get(seq=number)

    async def since(self, microseconds: int) -> Segment | None:
        """The first message that the server stored at a time, by its clock, or later."""
        time = datetime.fromtimestamp(microseconds / 1e6, UTC).isoformat()
        return await self._get(start_time=time, next_by_subj=self.all_subjects)

    async def _get(self, **which: Any) -> Segment | None:
        message = (await self.ask("STREAM.MSG.GET", **which)).get("message")
        return Segment(message["seq"], unpacked(base64.b64decode(message["data"]))) if message is not None else None

    async def append(self, messages: Sequence[Message], after: int) -> int:
        """Append messages, all or none, if the stream's last number is `after`. Returns the last number then.

        Raises Moved; Unavailable, after which they may be there or not, or be there later.
        """
        first = {"Nats-Expected-Last-Sequence": str(after)}
        if len(messages) == 1:
            return await self._published(messages[0], first)
        batch = secrets.token_hex(16)
        for number, message in enumerate(messages, 1):
            headers = {"Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(number), **(first if number == 1 else {})}
            if number == len(messages):
                return await self._published(message, {**headers, "Nats-Batch-Commit": "1"})
            await self._reached(self._connection.publish(message.subject, message.payload, headers=headers))
        raise ValueError("there is nothing to append")

    async def _published(self, message: Message, headers: dict[str, str]) -> int:
        said = await self._request(message.subject, message.payload, headers)
        if (error := said.get("error")) is not None:
            if error["err_code"] == WRONG_LAST_SEQUENCE:
                raise Moved
            raise Unavailable(f"JetStream does not store: {error['description']}", reason="LOG_UNAVAILABLE")
        return int(said["seq"])

    async def purge(self, subject: str, below: int) -> None:
        """Delete a subject's messages with numbers below one."""
        await self.ask("STREAM.PURGE", filter=subject, seq=below)

    async def ask(self, what: str, **stated: Any) -> dict[str, Any]:
        """A request about the stream. Where there is no such message, the answer is empty. Raises Unavailable."""
        request = json.dumps(stated).encode() if stated else b""
        said = await self._request(f"$JS.API.{what}.{self.name}", request)
        if (error := said.get("error")) is None:
            return said
        if error["code"] == NOT_FOUND and what == "STREAM.MSG.GET":
            return {}
        raise Unavailable(f"JetStream does not serve the log: {error['description']}", reason="LOG_UNAVAILABLE")

    async def notify(self) -> None:
        """Tell other gateways that something was appended, as far as they hear it."""
        with contextlib.suppress(nats.errors.Error):
            await self._connection.publish(self._notices)

    @contextlib.asynccontextmanager
    async def notices(self, heard: Callable[[], None]) -> AsyncIterator[None]:
        """Call `heard`, within the block, when another gateway has appended."""

        async def hear(_: object) -> None:
            heard()

        subscription = await self._connection.subscribe(self._notices, cb=hear)
        try:
            yield
        finally:
            with contextlib.suppress(nats.errors.Error, TimeoutError):
                async with asyncio.timeout(FAREWELL_S):
                    await subscription.unsubscribe()

    async def _request(self, subject: str, payload: bytes, headers: dict[str, str] | None = None) -> dict[str, Any]:
        """The answer to a request. Raises Unavailable."""
        if not self._connection.is_connected:
            # It would wait for the next connection, and its sender for the answer.
            raise Unavailable("the log's server is away", reason="LOG_UNAVAILABLE")
        answer = await self._reached(self._connection.request(subject, payload, REQUEST_S, headers=headers))
        said: dict[str, Any] = json.loads(answer.data)
        return said

    async def _reached(self, work: Awaitable[Any]) -> Any:
        try:
            return await work
        except (TimeoutError, nats.errors.Error, OSError) as error:
            message = f"the log's server does not answer ({type(error).__name__})"
            raise Unavailable(message, reason="LOG_UNAVAILABLE") from error


def token_of(tenant: str) -> str:
    """A tenant as a part of a subject: what may not be in one is written as `=` and its bytes in hexadecimal."""
    return "".join(chr(byte) if byte in _PLAIN else f"={byte:02X}" for byte in tenant.encode())
