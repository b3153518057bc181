"""What is around every call, of whatever kind: it is counted, timed and told to its span, and its error is answered."""

import asyncio
import logging
import time
from datetime import timedelta
from types import TracebackType
from typing import Any, NoReturn

import grpc
from google.rpc import code_pb2

from autodev_runtime import spans, telemetry
from autodev_runtime.errors import DeadlineExceeded, ResourceExhausted
from autodev_runtime.identity import Metadata
from autodev_runtime.status import abort, code_name, code_of
from autodev_runtime.tracing import TraceContext, trace_from_metadata

log = logging.getLogger(__name__)

_UNDER_WAY = (grpc.aio.AbortError, grpc.aio.InternalError)
"""What ends an abort that a servicer made by itself: to abort again would hide its status."""


class InFlight:
    """The calls of a server that have not ended."""

    def __init__(self, most: int) -> None:
        self.calls = 0
        self._most = most

    def check(self) -> None:
        """Raises ResourceExhausted (TOO_MANY_CALLS) past the bound."""
        if self.calls > self._most:
            raise ResourceExhausted(
                f"{self._most} calls are in flight", reason="TOO_MANY_CALLS", retry_after=timedelta(seconds=1)
            )


class CallFrame:
    """One call, from its beginning to its end."""

    __slots__ = ("_code", "_context", "_in_flight", "_method", "_metrics", "_span", "_started_s")

    def __init__(self, method: str, metrics: telemetry.CallMetrics, in_flight: InFlight, context: Any) -> None:
        self._method = method
        self._metrics = metrics
        self._in_flight = in_flight
        self._context = context
        self._code = "OK"
        self._span: spans.Begun | None = None

    def __enter__(self) -> "CallFrame":
        self._started_s = time.perf_counter()
        self._in_flight.calls += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._code == "OK" and isinstance(error, asyncio.CancelledError):
            self._code = "CANCELLED"
        self._in_flight.calls -= 1
        self._metrics.observe(self._code, time.perf_counter() - self._started_s)
        if self._span is not None:
            self._span.answered(self._code)

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
