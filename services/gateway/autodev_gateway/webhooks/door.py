"""What becomes of one webhook: is it signed, may it come now, what does it say, is it kept. Knows no HTTP library."""

import hashlib
import logging
import math
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from autodev_gateway import metrics
from autodev_gateway.webhooks.delivery import Delivery, identity_of
from autodev_gateway.webhooks.limits import RateLimit
from autodev_gateway.webhooks.payload import call_of
from autodev_gateway.webhooks.signature import Attempt, is_signed
from autodev_gateway.webhooks.sources import Source, Sources
from autodev_gateway.webhooks.store import Kept, Key, Receipt, ReceiptStore
from autodev_runtime.errors import InvalidArgument, Unavailable
from autodev_runtime.identity import acting_as
from autodev_runtime.spans import Kind, begin
from autodev_runtime.tracing import TraceContext, parent_in, trace_from, tracing_as

log = logging.getLogger(__name__)

ROUTE = "/webhooks/{source}"
RETRY_S = 5
BUSY_RETRY_S = 60


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer: its status, its JSON, its headers."""

    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DoorBounds:
    """How much may come in."""

    tolerance_s: float
    max_pending: int


def refusal(status: int, reason: str, message: str, retry_s: float | None = None, **more: Any) -> Answer:
    """An answer that says what was wrong."""
    headers = {} if retry_s is None else {"Retry-After": str(math.ceil(retry_s))}
    return Answer(status, {"error": {"reason": reason, "message": message, **more}}, headers)


class Door:
    """Takes webhooks in. Acknowledges only what is on disk."""

    def __init__(
        self, sources: Sources, store: ReceiptStore, delivery: Delivery, rate: RateLimit, bounds: DoorBounds
    ) -> None:
        self._sources = sources
        self._store = store
        self._delivery = delivery
        self._rate = rate
        self._bounds = bounds
        # A source that is not there takes as long to refuse as one that is.
        self._nobody = Source("", "", (secrets.token_bytes(32),))

    async def receive(self, source_name: str, attempt: Attempt, body: bytes, traceparent: str) -> Answer:
        """Take one in."""
        source = self._sources.named(source_name)
        keys = (source or self._nobody).secrets
        if not is_signed(keys, attempt, body, time.time(), self._bounds.tolerance_s) or source is None:
            metrics.WEBHOOKS.labels("unsigned").inc()
            return refusal(401, "UNAUTHENTICATED", "the webhook is not signed as it must be")
        key = Key(source.tenant, source.name, attempt.webhook_id)
        begun = begin(
            f"POST {ROUTE}", Kind.SERVER, parent_in(traceparent), {"http.request.method": "POST", "http.route": ROUTE}
        )
        trace = begun.trace if begun is not None else trace_from(traceparent)
        failure = "UNKNOWN"
        try:
            with acting_as(identity_of(key)), tracing_as(trace):
                answer = await self._receive(key, body, trace)
            failure = str(answer.status) if answer.status >= 500 else ""
            return answer
        finally:
            if begun is not None:
                begun.end(failure)

    async def _receive(self, key: Key, body: bytes, trace: TraceContext) -> Answer:
        if wait_s := self._rate.wait_s(key.source, time.monotonic()):
            metrics.WEBHOOKS.labels("limited").inc()
            return refusal(429, "RATE_LIMITED", "this source sends too fast", wait_s)
        try:
            call = call_of(key.source, key.webhook_id, body)
        except InvalidArgument as error:
            metrics.WEBHOOKS.labels("invalid").inc()
            fields = [{"field": each.field, "description": each.description} for each in error.violations]
            status = 400 if fields[0]["field"] == "body" else 422
            return refusal(status, error.reason, error.message, fields=fields)
        if self._delivery.waiting(key.tenant, key.source) >= self._bounds.max_pending:
            metrics.WEBHOOKS.labels("busy").inc()
            return refusal(503, "TOO_MANY_WAITING", "too many webhooks of this source wait", BUSY_RETRY_S)
        receipt = Receipt(key, hashlib.sha256(body).digest(), call.SerializeToString(), trace.traceparent)
        try:
            kept, state = await self._store.keep(receipt, time.time_ns() // 1000)
        except Unavailable as error:
            metrics.WEBHOOKS.labels("unavailable").inc()
            log.warning("a webhook could not be kept: %s", error)
            return refusal(503, error.reason, "the webhook could not be kept", RETRY_S)
        metrics.WEBHOOKS.labels(kept.value).inc()
        if kept is Kept.CONFLICT:
            return refusal(409, "ID_REUSED", "another webhook had this webhook-id")
        if kept is not Kept.REPEATED:
            self._delivery.kept(key)
        return Answer(202, {"id": key.webhook_id, "state": state.value})
