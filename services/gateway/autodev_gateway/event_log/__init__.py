"""The event log: an append-only order of all tenants' events, on a database."""

from autodev_gateway.event_log.appender import AppendBounds
from autodev_gateway.event_log.log import EventLog, LogOptions
from autodev_gateway.event_log.model import (
    ALL_EVENTS,
    Draft,
    EpisodeReport,
    Filter,
    Page,
    PageBounds,
    Record,
    cursor_of,
    seq_of,
)
from autodev_gateway.event_log.retention import Retention, sweeping

__all__ = [
    "ALL_EVENTS",
    "AppendBounds",
    "Draft",
    "EpisodeReport",
    "EventLog",
    "Filter",
    "LogOptions",
    "Page",
    "PageBounds",
    "Record",
    "Retention",
    "cursor_of",
    "seq_of",
    "sweeping",
]
