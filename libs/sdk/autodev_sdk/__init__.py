"""The Python client of Auto-Dev and its event hooks."""

from autodev_sdk.client import AutoDevClient
from autodev_sdk.events import EventBus, EventWorker, WorkerOptions, event_type, follow, make_event, payload_of, uuid7

__all__ = [
    "AutoDevClient",
    "EventBus",
    "EventWorker",
    "WorkerOptions",
    "event_type",
    "follow",
    "make_event",
    "payload_of",
    "uuid7",
]
