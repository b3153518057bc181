"""The W3C trace context of the call being served, passed on to every call and event that it leads to."""

import random
import re
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import NamedTuple

from autodev_runtime.binding import Binding
from autodev_runtime.identity import Metadata

TRACEPARENT_KEY = "traceparent"
SAMPLED = 1
_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")


class TraceContext(NamedTuple):
    """A trace and the span within it, as https://www.w3.org/TR/trace-context/ writes them.

    `sampled`: whether who began the trace records it.
    """

    trace_id: str
    span_id: str
    sampled: bool = True

    @property
    def traceparent(self) -> str:
        """The header's text."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"


_current: ContextVar[TraceContext | None] = ContextVar("autodev_trace", default=None)


def new_trace() -> TraceContext:
    """A trace that starts here."""
    return TraceContext(f"{random.getrandbits(128):032x}", _new_span_id())


def current_trace() -> TraceContext | None:
    """The trace of the call being served; None outside one."""
    return _current.get()


def parent_in(traceparent: str) -> TraceContext | None:
    """The trace and the span that a header names; None where it names none."""
    match = _TRACEPARENT.fullmatch(traceparent)
    if match is None or not int(match[1], 16) or not int(match[2], 16):
        return None
    return TraceContext(match[1], match[2], bool(int(match[3], 16) & SAMPLED))


def caller_trace(metadata: Metadata) -> TraceContext | None:
    """The caller's own span, if the call's metadata names one."""
    for key, value in metadata:
        if key == TRACEPARENT_KEY and isinstance(value, str):
            return parent_in(value)
    return None


def trace_from(traceparent: str) -> TraceContext:
    """A span of the trace that a header names; of a new trace where it names none."""
    return _within(parent_in(traceparent))


def trace_from_metadata(metadata: Metadata) -> TraceContext:
    """A span of the caller's trace, or of a new one."""
    return _within(caller_trace(metadata))


def _within(parent: TraceContext | None) -> TraceContext:
    return TraceContext(parent.trace_id, _new_span_id(), parent.sampled) if parent is not None else new_trace()


def _new_span_id() -> str:
    return f"{random.getrandbits(64):016x}"


def tracing_as(trace: TraceContext) -> AbstractContextManager[None]:
    """Serve or call within this trace."""
    return Binding(_current, trace)
