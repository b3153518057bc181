"""Spans of work, in the trace of the call that led to it, sent to an OpenTelemetry collector if the operator names one.

OpenTelemetry is imported only then: it takes as long, and as much memory, as half a service. Without it a span is a
look at one variable. Names and attributes of calls and events are those of OpenTelemetry's semantic conventions (0.66).
"""

import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from typing import TYPE_CHECKING, Protocol

import grpc

from autodev_runtime.identity import Metadata
from autodev_runtime.tracing import SAMPLED, TraceContext, caller_trace, current_trace, parent_in, tracing_as

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span as RecordedSpan
    from opentelemetry.trace import SpanKind, Tracer

    from autodev.gateway.v1.event_pb2 import Event

log = logging.getLogger(__name__)

_tracer: "Tracer | None" = None

FAREWELL_S = 2.0
"""For the last spans: a collector that is away must not use up the time that a process has to end."""

EVENTS = "events"
"""What the conventions call the destination of a message: the one log."""
_SERVER_FAULTS = {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}
"""What a server answers by its own fault, as the conventions see it. A client's span fails by any code but OK."""

Attributes = Mapping[str, str | float | bool]
NONE: Attributes = {}


class Kind(Enum):
    """What a span is of; the names are OpenTelemetry's."""

    INTERNAL = "INTERNAL"
    SERVER = "SERVER"
    CLIENT = "CLIENT"
    PRODUCER = "PRODUCER"
    CONSUMER = "CONSUMER"


class Span(Protocol):
    """One piece of work."""

    @property
    def recording(self) -> bool:
        """Whether anybody will see its attributes."""

    def set(self, name: str, value: str | float | bool) -> None:
        """Describe it: never by code, a secret or what a person wrote."""


class _Nothing:
    recording = False

    def set(self, name: str, value: str | float | bool) -> None:
        """Nobody sees it."""


class Begun:
    """A span that somebody ends by hand, because its work is no block: a stream, which is one step at a time."""

    __slots__ = ("_kind", "_span", "recording", "trace")

    def __init__(self, span: "RecordedSpan", kind: Kind) -> None:
        self._span = span
        self._kind = kind
        self.recording = span.is_recording()
        self.trace = _trace_of(span)
        """What is done for it is part of."""

    def set(self, name: str, value: str | float | bool) -> None:
        """As `Span` has it."""
        self._span.set_attribute(name, value)

    def answered(self, code: str) -> None:
        """End a call's span with the name of its status."""
        self.set("rpc.response.status_code", code)
        failed = code in _SERVER_FAULTS if self._kind is Kind.SERVER else code != "OK"
        self.end(code if failed else "")

    def end(self, failure: str = "") -> None:
        """End it. `failure` says what went wrong, in a word: no message, which might hold anything."""
        if failure:
            from opentelemetry.trace import StatusCode

            self.set("error.type", failure)
            self._span.set_status(StatusCode.ERROR, failure)
        self._span.end()


_NOTHING = _Nothing()


def export_spans(service: str, endpoint: str, ratio: float = 1.0) -> Callable[[], None]:
    """Send this process' spans to the collector at an endpoint (OTLP over gRPC: `http://127.0.0.1:4317`).

    A trace that begins elsewhere is recorded if its beginner says so; of those that begin here, the share `ratio`.
    Without an endpoint nothing is recorded. Returns what sends the rest and stops; it blocks, for
    little longer than FAREWELL_S.
    """
    global _tracer
    if not endpoint:
        return lambda: None
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, SERVICE_NAME, SERVICE_NAMESPACE, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio

    resource = {
        SERVICE_NAMESPACE: "autodev",
        SERVICE_NAME: service,
        SERVICE_INSTANCE_ID: f"{socket.gethostname()}-{os.getpid()}",
    }
    provider = TracerProvider(
        sampler=ParentBasedTraceIdRatio(ratio), resource=Resource.create(resource), shutdown_on_exit=False
    )
    exporter = OTLPSpanExporter(endpoint=endpoint)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    _tracer = provider.get_tracer("autodev")

    def give_up() -> None:
        log.warning("the collector of traces does not answer; the last spans are lost")
        exporter.shutdown()

    def stop() -> None:
        global _tracer
        _tracer = None
        # By itself it waits for half a minute, until the exporter has tried everything.
        patience = threading.Timer(FAREWELL_S, give_up)
        patience.daemon = True
        patience.start()
        provider.shutdown()
        patience.cancel()

    return stop


def recording() -> bool:
    """Whether there is a collector."""
    return _tracer is not None


def begin(name: str, kind: Kind, parent: TraceContext | None, attributes: Attributes = NONE) -> Begun | None:
    """A span to end by hand; None where there is no collector. Without a parent it begins a trace."""
    if _tracer is None:
        return None
    return Begun(_tracer.start_span(name, _context_of(parent), _kind(kind), attributes), kind)


@contextmanager
def span(
    name: str, kind: Kind = Kind.INTERNAL, attributes: Attributes = NONE, parent: TraceContext | None = None
) -> Iterator[Span]:
    """A span around the block, which what the block calls is part of. An exception marks it by its type's name.

    It is part of `parent`; of the current trace where none is given.
    """
    begun = begin(name, kind, parent or current_trace(), attributes)
    if begun is None:
        yield _NOTHING
        return
    failure = ""
    try:
        with tracing_as(begun.trace):
            yield begun
    except BaseException as error:
        failure = type(error).__name__
        raise
    finally:
        begun.end(failure)


def serving(method: str, metadata: Metadata) -> Begun | None:
    """The span of a call that came in (`/package.Service/Method`); None where there is no collector."""
    if _tracer is None:
        return None
    return begin(method[1:], Kind.SERVER, caller_trace(metadata), _call(method))


def calling(method: str, trace: TraceContext | None) -> Begun | None:
    """The span of a call to a peer; None where there is no collector."""
    if _tracer is None:
        return None
    return begin(method[1:], Kind.CLIENT, trace, _call(method))


def code_of_outcome(error: BaseException | None) -> str:
    """The status that a call to a peer ended with."""
    if error is None:
        return "OK"
    if isinstance(error, grpc.aio.AioRpcError):
        return error.code().name
    return "CANCELLED"


def made(event: "Event", kind: str) -> TraceContext | None:
    """The trace that an event made now is part of: a span that says so, within the current trace."""
    current = current_trace()
    about = {**_message("create", "create"), "messaging.message.id": event.id, "autodev.event.type": kind}
    begun = begin(f"create {EVENTS}", Kind.PRODUCER, current, about) if _tracer is not None else None
    if begun is None:
        return current
    begun.end()
    return begun.trace


@contextmanager
def publishing(count: int, parent: TraceContext | None) -> Iterator[TraceContext | None]:
    """A span around the block, which publishes so many events. Yields the trace that they are part of."""
    if _tracer is None:
        yield parent
        return
    about = {**_message("publish", "send"), "messaging.batch.message_count": count}
    with span(f"publish {EVENTS}", Kind.PRODUCER, about, parent):
        yield current_trace()


@contextmanager
def processing(event: "Event", kind: str, group: str) -> Iterator[None]:
    """A span around the block, in which a group's worker handles an event: part of what made the event."""
    about = {
        **_message("process", "process"),
        "messaging.consumer.group.name": group,
        "messaging.message.id": event.id,
        "autodev.event.type": kind,
        "autodev.tenant": event.tenant_id,
    }
    with span(f"process {EVENTS}", Kind.CONSUMER, about, parent_in(event.traceparent)):
        yield


def _call(method: str) -> Attributes:
    return {"rpc.system.name": "grpc", "rpc.method": method[1:]}


def _message(operation: str, kind: str) -> dict[str, str | float | bool]:
    return {
        "messaging.system": "autodev",
        "messaging.destination.name": EVENTS,
        "messaging.operation.name": operation,
        "messaging.operation.type": kind,
    }


def _kind(kind: Kind) -> "SpanKind":
    from opentelemetry.trace import SpanKind

    return SpanKind[kind.value]


def _context_of(trace: TraceContext | None) -> "Context":
    from opentelemetry.context import Context
    from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

    if trace is None:
        return Context()
    flags = TraceFlags(SAMPLED if trace.sampled else 0)
    parent = SpanContext(int(trace.trace_id, 16), int(trace.span_id, 16), is_remote=True, trace_flags=flags)
    return set_span_in_context(NonRecordingSpan(parent), Context())


def _trace_of(span: "RecordedSpan") -> TraceContext:
    context = span.get_span_context()
    return TraceContext(f"{context.trace_id:032x}", f"{context.span_id:016x}", context.trace_flags.sampled)
