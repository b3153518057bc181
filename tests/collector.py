"""A collector of trace spans: a real gRPC server that speaks OTLP."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.trace.v1 import trace_pb2


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Keeps what it is sent."""

    def __init__(self) -> None:
        self.address = ""
        self.requests: list[trace_service_pb2.ExportTraceServiceRequest] = []

    async def Export(self, request: trace_service_pb2.ExportTraceServiceRequest, context: Any) -> Any:
        self.requests.append(request)
        return trace_service_pb2.ExportTraceServiceResponse()

    def trace(self, trace_id: str) -> dict[str, "Told"]:
        """A trace's spans, by their ids."""
        return {each.span.span_id.hex(): each for each in self.told() if each.span.trace_id.hex() == trace_id}

    def told(self) -> list["Told"]:
        """Every span."""
        return [
            Told(_service_of(resource), span)
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    @property
    def spans(self) -> dict[str, Any]:
        return {each.span.name: each.span for each in self.told()}


@dataclass(frozen=True)
class Told:
    """A span, and the service that it is of."""

    service: str
    span: Any

    @property
    def parent(self) -> str:
        """Its parent's id."""
        return str(self.span.parent_span_id.hex())

    @property
    def kind(self) -> str:
        """Its kind, as OpenTelemetry names it."""
        return trace_pb2.Span.SpanKind.Name(self.span.kind).removeprefix("SPAN_KIND_")

    @property
    def attributes(self) -> dict[str, Any]:
        """What it says."""
        return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in self.span.attributes}


def _service_of(resource: Any) -> str:
    return str(next(each.value.string_value for each in resource.resource.attributes if each.key == "service.name"))


@contextlib.asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    """A collector, at its `address`."""
    server = grpc.aio.server()
    collector = Collector()
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(collector, server)  # type: ignore[no-untyped-call]
    collector.address = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    yield collector
    await server.stop(0)
