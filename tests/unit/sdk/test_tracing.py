"""Which trace the client library's calls are part of."""

import subprocess
import sys

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from autodev.gateway.v1.event_pb2 import Event
from autodev_sdk.tracing import OPENTELEMETRY, processing, trace_id_of, trace_metadata

TRACE_ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE_ID}-{SPAN_ID}-01"
EVENT = Event(id="e-1", traceparent=TRACEPARENT)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """The program's own OpenTelemetry, and what it tells."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    return exporter


def test_calls_made_while_an_event_is_handled_are_part_of_its_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, OPENTELEMETRY)
    assert trace_metadata() == ()
    with processing(EVENT, "group"):
        assert trace_metadata() == (("traceparent", TRACEPARENT),)
    assert trace_metadata() == ()
    with processing(Event(), "group"):
        assert trace_metadata() == ()


@pytest.mark.parametrize(
    ("traceparent", "trace_id"),
    [(TRACEPARENT, TRACE_ID), ("", ""), ("nonsense", ""), (f"00-{'0' * 32}-{SPAN_ID}-01", "")],
)
def test_an_events_trace_is_named_where_it_has_one(traceparent: str, trace_id: str) -> None:
    assert trace_id_of(Event(traceparent=traceparent)) == trace_id


def test_where_the_program_traces_handling_is_a_span_of_its_own(told: InMemorySpanExporter) -> None:
    with processing(EVENT, "pager"):
        ((_, stated),) = trace_metadata()
    (span,) = told.get_finished_spans()
    assert span.parent is not None
    assert (f"{span.parent.trace_id:032x}", f"{span.parent.span_id:016x}") == (TRACE_ID, SPAN_ID)
    assert stated == f"00-{TRACE_ID}-{span.context.span_id:016x}-01"
    assert span.kind is trace.SpanKind.CONSUMER
    assert (span.attributes or {})["messaging.consumer.group.name"] == "pager"


def test_a_handler_that_fails_marks_its_span(told: InMemorySpanExporter) -> None:
    with pytest.raises(ZeroDivisionError), processing(EVENT, "pager"):
        raise ZeroDivisionError
    (span,) = told.get_finished_spans()
    assert span.status.status_code is trace.StatusCode.ERROR


@pytest.mark.parametrize("traceparent", ["", "nonsense", f"00-{TRACE_ID}-{SPAN_ID}"])
def test_an_event_without_a_trace_begins_one(told: InMemorySpanExporter, traceparent: str) -> None:
    with processing(Event(traceparent=traceparent), "pager"):
        pass
    (span,) = told.get_finished_spans()
    assert span.parent is None


def test_the_client_library_loads_no_opentelemetry() -> None:
    program = "import sys, autodev_sdk; sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
