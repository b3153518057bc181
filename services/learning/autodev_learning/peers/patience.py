"""Waiting out a service that is away: an event that is given back has few tries before it is put aside."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import grpc

from autodev.gateway.v1.event_pb2 import Event, EventType
from autodev_learning.peers.channels import SERVICE
from autodev_runtime.errors import AutoDevError, DeadlineExceeded, FailedPrecondition, ResourceExhausted, Unavailable
from autodev_runtime.mesh import worker
from autodev_sdk.events import EventWorker, Handler, WorkerOptions

log = logging.getLogger(__name__)

MESSAGE_TOO_LARGE = "RESOURCE_EXHAUSTED"
"""The reason where a peer gives none: gRPC's own refusal of a message's size."""
WAIT_S = (0.1, 5.0)
Answer = TypeVar("Answer")


def is_outage(error: Exception) -> bool:
    """Whether the work may go well later, unchanged: a service is away, full, or has no sandbox to give."""
    if isinstance(error, FailedPrecondition):
        return error.reason == "ISOLATION_UNAVAILABLE"
    if isinstance(error, ResourceExhausted):
        return error.reason not in ("QUOTA_EXCEEDED", MESSAGE_TOO_LARGE)
    return isinstance(error, Unavailable | DeadlineExceeded)


async def patiently(work: Callable[[], Awaitable[Answer]], patience_s: float) -> Answer:
    """Do the work; after an outage, again, with growing waits, for `patience_s` at most. Raises the last outage."""
    started = time.monotonic()
    wait_s, longest_s = WAIT_S
    while True:
        try:
            return await work()
        except AutoDevError as error:
            if not is_outage(error) or time.monotonic() - started + wait_s > patience_s:
                raise
            log.info("waiting %.1f s: %s", wait_s, error)
        await asyncio.sleep(wait_s)
        wait_s = min(wait_s * 2, longest_s)


def patient(handle: Handler, patience_s: float) -> Handler:
    """The handler, waiting out outages while the event's lease is extended. It must be safe to repeat."""

    async def handle_patiently(event: Event) -> None:
        await patiently(lambda: handle(event), patience_s)

    return handle_patiently


def patient_worker(
    gateway: grpc.aio.Channel,
    patience_s: float,
    name: str,
    handlers: Mapping["EventType.ValueType", Handler],
    at_a_time: int,
) -> EventWorker:
    """A worker of the group `learning.<name>` whose handlers wait out outages."""
    waiting = {kind: patient(handler, patience_s) for kind, handler in handlers.items()}
    return worker(gateway, SERVICE, f"learning.{name}", waiting, WorkerOptions(max_in_flight=at_a_time))
