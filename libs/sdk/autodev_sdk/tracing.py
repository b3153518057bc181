"""Which trace a program's calls are part of (https://www.w3.org/TR/trace-context/).

Calls made while an event is handled are part of the event's trace. A program that uses OpenTelemetry has more: handling
an event is a span of its own, and every call carries the program's current span. OpenTelemetry is no dependency: it is
used where the program has loaded it.
"""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from autodev.gateway.v1 import event_pb2

TRACEPARENT_KEY = "traceparent"
OPENTELEMETRY = "opentelemetry.trace"
_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")

_current: ContextVar[str] = ContextVar("autodev_sdk_traceparent", default="")


def trace_metadata() -> tuple[tuple[str, str], ...]:
    """What a call made now says of the trace that it is part of."""
    if (api := sys.modules.get(OPENTELEMETRY)) is not None and (of_program := _traceparent_of_program(api)):
        return ((TRACEPARENT_KEY, of_program),)
    return ((TRACEPARENT_KEY, current),) if (current := _current.get()) else ()


@contextmanager
def processing(event: event_pb2.Event, group: str) -> Iterator[None]:
    """Handle an event within the block, as part of its trace."""
    token = _current.set(event.traceparent)
    try:
        if (api := sys.modules.get(OPENTELEMETRY)) is None:
            yield
            return
        with _span_of_program(api, event, group):
            yield
    finally:
        _current.reset(token)


def trace_id_of(event: event_pb2.Event) -> str:
    """The trace that an event is part of, as 32 hexadecimal digits; empty where it is part of none."""
    match = _TRACEPARENT.fullmatch(event.traceparent)
    return match[1] if match is not None and int(match[1], 16) else ""


def _traceparent_of_program(api: Any) -> str:
    context = api.get_current_span().get_span_context()
    if not context.is_valid:
        return ""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags) & 1:02x}"


def _span_of_program(api: Any, event: event_pb2.Event, group: str) -> Any:
    parent = None
    if (match := _TRACEPARENT.fullmatch(event.traceparent)) is not None:
        flags = api.TraceFlags(int(match[3], 16) & 1)
        made_in = api.SpanContext(int(match[1], 16), int(match[2], 16), is_remote=True, trace_flags=flags)
        parent = api.set_span_in_context(api.NonRecordingSpan(made_in))
    return api.get_tracer("autodev_sdk").start_as_current_span(
        "process events",
        context=parent,
        kind=api.SpanKind.CONSUMER,
        attributes={
            "messaging.system": "autodev",
            "messaging.destination.name": "events",
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.consumer.group.name": group,
            "messaging.message.id": event.id,
            "autodev.event.type": event.WhichOneof("payload") or "",
        },
    )
