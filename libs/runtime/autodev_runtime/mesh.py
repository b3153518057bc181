"""How a service reaches the event log, which the gateway keeps: relaying its outbox there, working through events."""

from collections.abc import Mapping, Sequence

import grpc

from autodev.gateway.v1 import event_pb2, event_service_pb2
from autodev.gateway.v1.event_service_pb2_grpc import EventServiceStub
from autodev_runtime.clients import ask
from autodev_runtime.identity import acting_as, service_identity
from autodev_runtime.outbox import Publish
from autodev_runtime.spans import processing, recording
from autodev_runtime.tracing import new_trace, trace_from, tracing_as
from autodev_sdk.events import DEFAULT_OPTIONS, EventWorker, Handler, WorkerOptions


def publisher(gateway: grpc.aio.Channel, service: str) -> Publish:
    """What an outbox's relay publishes by. Each event says its tenant, which the gateway believes of a service."""
    stub = EventServiceStub(gateway)

    async def publish(events: Sequence[event_pb2.Event]) -> None:
        # Each event is part of a trace of its own; the call that carries many is part of none.
        with acting_as(service_identity(service)), tracing_as(new_trace()._replace(sampled=False)):
            await ask(stub.Publish, event_service_pb2.PublishRequest(events=events))

    return publish


def worker(
    gateway: grpc.aio.Channel,
    service: str,
    group: str,
    handlers: Mapping["event_pb2.EventType.ValueType", Handler],
    options: WorkerOptions = DEFAULT_OPTIONS,
) -> EventWorker:
    """A worker on the events of all tenants. Handlers run as the service for the event's tenant, in its trace."""
    acting = {kind: _as_service(service, group, handler) for kind, handler in handlers.items()}
    return EventWorker(EventServiceStub(gateway), group, acting, options, service_identity(service).metadata())


def _as_service(service: str, group: str, handler: Handler) -> Handler:
    async def handle(event: event_pb2.Event) -> None:
        with acting_as(service_identity(service, event.tenant_id)), tracing_as(trace_from(event.traceparent)):
            if not recording():
                await handler(event)
                return
            with processing(event, event.WhichOneof("payload") or "", group):
                await handler(event)

    return handle
