"""What is around every call, of whatever kind: it is counted, timed and told to its span, and its error is answered."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, NoReturn

import grpc
from google.rpc import code_pb2

from autodev_runtime import spans, telemetry
from autodev_runtime.errors import DeadlineExceeded
from autodev_runtime.identity import Metadata
from autodev_runtime.in_flight import Bound, Use
from autodev_runtime.status import abort, code_name, code_of
from autodev_runtime.tracing import TraceContext, trace_from_metadata

log = logging.getLogger(__name__)

_UNDER_WAY = (grpc.aio.AbortError, grpc.aio.InternalError)
"""What ends an abort that a servicer made by itself: to abort again would hide its status."""


class CallFrame:
    """One call, from its beginning to its end."""

    __slots__ = ("_code", "_context", "_method", "_metrics", "_place", "_request", "_span", "_started_s", "_tenant")

    def __init__(
        self, method: str, metrics: telemetry.CallMetrics, calls: Bound, request_bytes: Bound, context: Any
    ) -> None:
        self._method = method
        self._metrics = metrics
        self._place = Use(calls)
        self._request = Use(request_bytes)
        self._context = context
        self._tenant = ""
        self._code = "OK"
        self._span: spans.Begun | None = None

    def __enter__(self) -> "CallFrame":
        self._started_s = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._code == "OK" and isinstance(error, asyncio.CancelledError):
            self._code = "CANCELLED"
        self._place.end()
        self._request.end()
        self._metrics.observe(self._code, time.perf_counter() - self._started_s)
        if self._span is not None:
            self._span.answered(self._code)

    def take(self, request_bytes: int) -> None:
        """Take a place among the calls in flight. Raises ResourceExhausted (TOO_MANY_CALLS)."""
        self._place.take(1)
        self._request.take(request_bytes)

    def assign(self, tenant: str) -> None:
        """What the call takes is the tenant's. Raises ResourceExhausted (TOO_MANY_CALLS)."""
        self._place.assign(tenant)
        self._request.assign(tenant)
        self._tenant = tenant

    @contextlib.contextmanager
    def holding(self, request_bytes: int) -> Iterator[None]:
        """One request of a stream is served within the block. Raises ResourceExhausted (TOO_MANY_CALLS)."""
        self._request.end()
        self._request.take(request_bytes)
        self._request.assign(self._tenant)
        try:
            yield
        finally:
            self._request.end()

    def traced(self, metadata: Metadata) -> TraceContext:
        """The trace that the call's work is part of; its span begins now, where there is a collector."""
        self._span = spans.serving(self._method, metadata)
        return trace_from_metadata(metadata) if self._span is None else self._span.trace

    def status_of(self, error: Exception) -> str:
        """The name of the status that the caller sees for an error."""
        if isinstance(error, _UNDER_WAY):
            return code_name(self._context.code() or code_pb2.CANCELLED)
        return code_name(code_of(_answered(error)))

    async def abort(self, error: Exception) -> NoReturn:
        """End the call with the error's status."""
        self._code = self.status_of(error)
        try:
            if isinstance(error, _UNDER_WAY):
                raise error
            await abort(self._context, _answered(error))
        except grpc.aio.InternalError as unsent:
            # The caller has left, and nobody is there to be told.
            log.info("a status could not be sent: %s", unsent)
            raise asyncio.CancelledError from unsent


def _answered(error: Exception) -> Exception:
    return DeadlineExceeded() if isinstance(error, TimeoutError) else error
