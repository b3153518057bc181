"""Forwards the RPCs of the services behind the gateway: raw bytes by method name, one handler for every method.

The caller's identity and trace are added, its deadline and its cancellation passed on, and the answer's status with
all its details comes back as it is.
"""

import json
import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import grpc
from google.protobuf.descriptor import FileDescriptor, MethodDescriptor
from grpc_health.v1 import health_pb2, health_pb2_grpc

from autodev_runtime import spans
from autodev_runtime.clients import MESH_KEEPALIVE_S, metadata_of
from autodev_runtime.errors import Unavailable
from autodev_runtime.identity import Identity, current_identity
from autodev_runtime.pipeline import RawUnary
from autodev_runtime.status import abort
from autodev_runtime.tracing import TraceContext, current_trace
from autodev_sdk.channel import RESOLUTION_OPTIONS, keepalive_options

log = logging.getLogger(__name__)

STATUS_DETAILS = "grpc-status-details-bin"
HEALTH_TIMEOUT_S = 1.0

# No retries here: the client that gave the call its deadline retries, and two that do would multiply.
_SERVICE_CONFIG = json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})
_AWAY = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.INTERNAL,
)


@dataclass(frozen=True)
class Backend:
    """A service's process: how it is reached, and the gRPC services that it serves."""

    channel: grpc.aio.Channel
    services: tuple[str, ...]

    async def serves(self, service: str) -> bool:
        """Whether the backend says that the service is ready."""
        request = health_pb2.HealthCheckRequest(service=service)
        try:
            answer = await health_pb2_grpc.HealthStub(self.channel).Check(request, timeout=HEALTH_TIMEOUT_S)
        except grpc.aio.AioRpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def backend_options(max_message_bytes: int) -> list[tuple[str, Any]]:
    """Of a channel to a backend, which connects again sooner after its return than a client gives its call up."""
    return [
        ("grpc.service_config", _SERVICE_CONFIG),
        ("grpc.enable_retries", 0),
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", max_message_bytes),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 250),
        *keepalive_options(MESH_KEEPALIVE_S),
        *RESOLUTION_OPTIONS,
    ]


def services_in(*files: FileDescriptor) -> tuple[str, ...]:
    """The full names of the gRPC services that these protos define."""
    return tuple(service.full_name for file in files for service in file.services_by_name.values())


class Forwarder(grpc.GenericRpcHandler):
    """The handler of every method of every backend."""

    def __init__(self, backends: Mapping[str, Backend], files: tuple[FileDescriptor, ...]) -> None:
        self._handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {}
        for file in files:
            for service in file.services_by_name.values():
                for method in service.methods:
                    path = f"/{service.full_name}/{method.name}"
                    self._handlers[path] = _handler(backends[service.full_name].channel, path, method)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[bytes, bytes] | None":
        """The method's handler; None for a method that no backend has."""
        return self._handlers.get(handler_call_details.method)


def _handler(channel: grpc.aio.Channel, path: str, method: MethodDescriptor) -> "grpc.RpcMethodHandler[bytes, bytes]":
    # A multicallable is made once, and registered with the channel as generated stubs do: both cost more than a call.
    registered: Any = {"_registered_method": True}
    if method.server_streaming and method.client_streaming:
        return grpc.stream_stream_rpc_method_handler(_streaming(path, channel.stream_stream(path, **registered)))
    if method.server_streaming:
        return grpc.unary_stream_rpc_method_handler(_streaming(path, channel.unary_stream(path, **registered)))
    if method.client_streaming:
        raise NotImplementedError(f"{path}: no method of the mesh takes a stream and gives one answer")
    return grpc.unary_unary_rpc_method_handler(_ForwardedUnary(path, channel.unary_unary(path, **registered)))


class _ForwardedUnary(RawUnary):
    def __init__(self, path: str, call: Any) -> None:
        self._path = path
        self._call = call

    async def __call__(
        self, request: bytes, context: Any, identity: Identity, trace: TraceContext, timeout_s: float
    ) -> bytes:
        span = spans.calling(self._path, trace)
        outcome: BaseException | None = None
        if span is not None:
            trace = span.trace
        try:
            answer: bytes = await self._call(request, metadata=metadata_of(identity, trace), timeout=timeout_s)
            return answer
        except grpc.aio.AioRpcError as error:
            outcome = error
            await _pass_on(self._path, context, error)
        except BaseException as error:
            outcome = error
            raise
        finally:
            if span is not None:
                span.answered(spans.code_of_outcome(outcome))


def _streaming(path: str, call: Any) -> Any:
    async def forward(request: Any, context: Any) -> AsyncIterator[bytes]:
        trace = current_trace()
        if (span := spans.calling(path, trace)) is not None:
            trace = span.trace
        outcome: BaseException | None = None
        responses = call(request, metadata=metadata_of(current_identity(), trace), timeout=context.time_remaining())
        try:
            async for response in responses:
                yield response
        except grpc.aio.AioRpcError as error:
            outcome = error
            await _pass_on(path, context, error)
        except BaseException as error:
            outcome = error
            raise
        finally:
            responses.cancel()
            if span is not None:
                span.answered(spans.code_of_outcome(outcome))

    return forward


async def _pass_on(path: str, context: Any, error: grpc.aio.AioRpcError) -> NoReturn:
    code, trailing = error.code(), error.trailing_metadata() or ()
    details = tuple((key, value) for key, value in trailing if key == STATUS_DETAILS or not key.startswith("grpc-"))
    if code in _AWAY and not details:
        # Not an answer of a service, whose errors all have details: there is no connection, or it went away under the
        # call. What gRPC says of it names addresses that are nothing for a client.
        service = path.split("/")[1]
        log.info("%s cannot be reached: %s", service, error.details())
        await abort(context, Unavailable(f"{service} cannot be reached; call again", reason="SERVICE_AWAY"))
    await context.abort(code, error.details() or "", details)
    raise AssertionError("abort raises")
