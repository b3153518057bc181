import re

import pytest

from autodev_runtime.spans import span
from autodev_runtime.tracing import TraceContext, caller_trace, current_trace, parent_in, trace_from, tracing_as

TRACE_ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.mark.parametrize(("flags", "sampled"), [("01", True), ("00", False), ("03", True), ("02", False)])
def test_a_trace_goes_on_with_a_span_of_its_own_and_its_callers_choice(flags: str, sampled: bool) -> None:
    trace = trace_from(f"00-{TRACE_ID}-{SPAN_ID}-{flags}")
    assert (trace.trace_id, trace.sampled) == (TRACE_ID, sampled)
    assert trace.span_id != SPAN_ID
    assert trace.traceparent == f"00-{TRACE_ID}-{trace.span_id}-0{int(sampled)}"


@pytest.mark.parametrize("header", ["", "nonsense", f"00-{TRACE_ID}-{SPAN_ID}", f"01-{TRACE_ID}-{SPAN_ID}-01"])
def test_what_is_no_trace_begins_one(header: str) -> None:
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", trace_from(header).traceparent)
    assert trace_from(header).trace_id != TRACE_ID


def test_a_callers_own_span_is_what_its_header_names() -> None:
    assert parent_in(f"00-{TRACE_ID}-{SPAN_ID}-01") == TraceContext(TRACE_ID, SPAN_ID)
    for header in ("", f"00-{'0' * 32}-{SPAN_ID}-01", f"00-{TRACE_ID}-{'0' * 16}-01"):
        assert parent_in(header) is None
    assert caller_trace([("traceparent", f"00-{TRACE_ID}-{SPAN_ID}-00")]) == TraceContext(TRACE_ID, SPAN_ID, False)
    assert caller_trace([("tracestate", "x")]) is None


def test_a_span_without_a_collector_leaves_the_trace_as_it_is() -> None:
    trace = TraceContext(TRACE_ID, SPAN_ID)
    with tracing_as(trace), span("work") as nothing:
        nothing.set("name", 1)
        assert not nothing.recording
        assert current_trace() is trace
