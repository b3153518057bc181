"""The HTTP server of webhooks: `POST /webhooks/<source>`.

Only imported where webhooks are on: aiohttp takes as long to load as half a service.
"""

import asyncio
import contextlib
import json
import logging
import ssl
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from autodev_gateway import metrics
from autodev_gateway.webhooks.door import RETRY_S, Answer, Door, refusal
from autodev_gateway.webhooks.reception import Reception, listening_at
from autodev_gateway.webhooks.signature import Attempt
from autodev_runtime.tracing import TRACEPARENT_KEY
from autodev_sdk.ending import ended

log = logging.getLogger(__name__)
request_log = logging.getLogger(f"{__name__}.requests")

PATH = "/webhooks/"
SIGNED_HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")
DRAIN_S = 5.0


@dataclass(frozen=True, slots=True)
class HttpBounds:
    """What a peer may use of the server before it has proved who it is."""

    max_body_bytes: int
    receive_s: float
    """For a request to come in whole; also how long a connection may be idle."""
    answer_s: float
    """For the answer to be found."""
    max_connections: int


class HttpServer:
    """Serves the door on one address."""

    def __init__(self, door: Door, bounds: HttpBounds) -> None:
        self._door = door
        self._bounds = bounds
        self._receiving: set[asyncio.Task[Answer]] = set()
        self.port = 0
        """The one that the server got, while it serves."""

    @contextlib.asynccontextmanager
    async def serving(self, host: str, port: int, tls: ssl.SSLContext | None) -> AsyncIterator[None]:
        """Serve within the block. At its end calls in flight are answered."""
        server = web.Server(
            self._handle,
            access_log=None,
            logger=request_log,
            # What is signed is what was sent; and nobody makes us unpack more than the bound.
            auto_decompress=False,
            keepalive_timeout=self._bounds.receive_s,
            lingering_time=1.0,
            max_line_size=8190,
            max_field_size=8190,
        )
        with await listening_at(host, port) as listening:
            self.port = listening.getsockname()[1]
            log.info("webhooks come in at %s:%d", host, self.port)
            accepting = asyncio.create_task(Reception(server, self._bounds.max_connections, tls).accept(listening))
            try:
                yield
            finally:
                await ended(accepting)
        await server.shutdown(DRAIN_S)
        if self._receiving:
            await asyncio.wait(self._receiving, timeout=DRAIN_S)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        answer = await self._answer(request)
        response = web.Response(
            status=answer.status,
            body=json.dumps(answer.body).encode() + b"\n",
            headers=answer.headers,
            content_type="application/json",
        )
        if not request.content.at_eof():
            # What was not read would be taken for the next request.
            response.force_close()
        return response

    async def _answer(self, request: web.BaseRequest) -> Answer:
        if not request.path.startswith(PATH):
            return refusal(404, "NOT_FOUND", f"webhooks come in at {PATH}<source>")
        if request.method != "POST":
            return Answer(405, refusal(405, "METHOD_NOT_ALLOWED", "webhooks are POST").body, {"Allow": "POST"})
        try:
            async with asyncio.timeout(self._bounds.receive_s):
                body = await self._body_of(request)
        except TimeoutError:
            metrics.WEBHOOKS.labels("too_slow").inc()
            return refusal(408, "TOO_SLOW", f"a webhook must come in within {self._bounds.receive_s:g} s")
        except ConnectionError:
            # Nobody is there to read it; as a failure of ours it would be a stack trace for each connection of anybody.
            return refusal(400, "CUT_OFF", "the connection ended before the webhook did")
        if body is None:
            metrics.WEBHOOKS.labels("too_large").inc()
            return refusal(413, "TOO_LARGE", f"a webhook may have {self._bounds.max_body_bytes} bytes")
        received_s = time.perf_counter()
        headers = [request.headers.getall(name, []) for name in SIGNED_HEADERS]
        # A header that is there twice is refused as one that is not there.
        attempt = Attempt(*(values[0] if len(values) == 1 else "" for values in headers))
        traceparent = request.headers.get(TRACEPARENT_KEY, "")
        receiving = asyncio.ensure_future(
            self._door.receive(request.path.removeprefix(PATH), attempt, body, traceparent)
        )
        self._receiving.add(receiving)
        receiving.add_done_callback(self._receiving.discard)
        # Not cancelled: a statement that waits in a database's driver would hold the answer up. If the webhook is kept
        # after all, the sender's next attempt finds it so.
        await asyncio.wait([receiving], timeout=self._bounds.answer_s)
        metrics.WEBHOOK_SECONDS.observe(time.perf_counter() - received_s)
        if receiving.done():
            return receiving.result()
        metrics.WEBHOOKS.labels("unavailable").inc()
        return refusal(503, "DEADLINE_EXCEEDED", "the webhook could not be kept in time", RETRY_S)

    async def _body_of(self, request: web.BaseRequest) -> bytes | None:
        """The body; None where it is larger than may be."""
        most = self._bounds.max_body_bytes
        if (request.content_length or 0) > most:
            return None
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0
        body = bytearray()
        async for part in request.content.iter_any():
            body += part
            if len(body) > most:
                return None
        return bytes(body)


def _is_our_fault(record: logging.LogRecord) -> bool:
    """Who sends what is no HTTP is told so; in the log it would be a stack trace for each request of anybody."""
    return record.exc_info is None or not isinstance(record.exc_info[1], HttpProcessingError)


request_log.addFilter(_is_our_fault)
