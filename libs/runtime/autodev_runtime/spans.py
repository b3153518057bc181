"""Spans of work, in the trace of the call that led to it, sent to an OpenTelemetry collector if the operator names one.

OpenTelemetry is imported only then: it takes as long, and as much memory, as half a service.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from autodev_runtime.tracing import SAMPLED, TraceContext, current_trace, tracing_as

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span as RecordedSpan
    from opentelemetry.trace import Tracer

_tracer: "Tracer | None" = None


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


class _Recorded:
    def __init__(self, span: "RecordedSpan") -> None:
        self._span = span
        self.recording = span.is_recording()

    def set(self, name: str, value: str | float | bool) -> None:
        self._span.set_attribute(name, value)


_NOTHING = _Nothing()


def export_spans(service: str, endpoint: str) -> Callable[[], None]:
    """Send this process' spans to the collector at an endpoint (OTLP over gRPC: `http://127.0.0.1:4317`).

    Without an endpoint nothing is recorded. Returns what sends the rest and stops; it blocks.
    """
    global _tracer
    if not endpoint:
        return lambda: None
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_NAMESPACE, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(
        resource=Resource.create({SERVICE_NAMESPACE: "autodev", SERVICE_NAME: service}), shutdown_on_exit=False
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    _tracer = provider.get_tracer("autodev")

    def stop() -> None:
        global _tracer
        _tracer = None
        provider.shutdown()

    return stop


@contextmanager
def span(name: str) -> Iterator[Span]:
    """A span around the block, which what the block calls is part of. An exception marks it by its type's name."""
    if _tracer is None:
        yield _NOTHING
        return
    from opentelemetry.trace import StatusCode

    recorded = _tracer.start_span(name, _context_of(current_trace()))
    try:
        with tracing_as(_trace_of(recorded)):
            yield _Recorded(recorded)
    except BaseException as error:
        recorded.set_status(StatusCode.ERROR, type(error).__name__)
        raise
    finally:
        recorded.end()


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
