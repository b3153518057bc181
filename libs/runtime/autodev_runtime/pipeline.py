"""What every call goes through before it reaches a servicer: one interceptor, in this order.

bounds → identity → access → tenant's share → span → deadline → parse → field rules → record of decisions → servicer →
errors → metrics

A stream has no deadline but its caller's, and none decides anything that is recorded.

It takes the place of several small interceptors because each costs every call a hop through the event loop.
"""

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import grpc
from google.protobuf.message import Message

from autodev_runtime import telemetry
from autodev_runtime.access import Access, access_to, method_named
from autodev_runtime.call_frame import CallFrame
from autodev_runtime.identity import Caller, Identity, Metadata, acting_as, identity_from_metadata
from autodev_runtime.in_flight import Bound, CallBounds
from autodev_runtime.lease import Lease
from autodev_runtime.open_to_all import OpenToAll
from autodev_runtime.parsing import parser
from autodev_runtime.peers import Callers
from autodev_runtime.recording import Recorder, Recording
from autodev_runtime.tracing import TraceContext, tracing_as

Authenticate = Callable[[Metadata], Awaitable[Identity]]

_END = object()
_OPEN_TO_ALL = ("/grpc.health.", "/grpc.reflection.")


class RawUnary(ABC):
    """A unary method of bytes that takes the call's identity, trace and time as they are.

    For a forwarder, which passes them on: binding them to the context and a timer of its own would cost each call what
    its backend does again.
    """

    @abstractmethod
    async def __call__(
        self, request: bytes, context: Any, identity: Identity, trace: TraceContext, timeout_s: float
    ) -> bytes:
        """Answer, or abort, within the time."""


class CallPipeline(grpc.aio.ServerInterceptor):
    """The interceptor. Health and reflection pass by all of it but a bound (open_to_all.py)."""

    def __init__(
        self,
        service: str,
        bounds: CallBounds,
        authenticate: Authenticate = identity_from_metadata,
        callers: Callers | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        self._service = service
        telemetry.REPLICAS.labels(service).set(1)
        self._bounds = bounds
        self._authenticate = authenticate
        self._callers = callers
        self._recorder = recorder
        self._calls = Bound("calls", bounds.calls, bounds.tenant_share)
        self._streams = Bound("streams", bounds.streams, bounds.tenant_share)
        self._request_bytes = Bound("bytes of requests", bounds.request_bytes, bounds.tenant_share)
        self._open_to_all = OpenToAll(bounds.open_streams)
        self._wrapped: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}

    async def intercept_service(self, continuation: Any, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Wrap the method's handler, once."""
        method = handler_call_details.method
        if (wrapped := self._wrapped.get(method)) is not None:
            return wrapped
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        wrap = self._open_to_all.wrap if method.startswith(_OPEN_TO_ALL) else partial(self._wrap, method)
        wrapped = self._wrapped[method] = wrap(handler)
        return wrapped

    def _wrap(self, method: str, handler: Any) -> "grpc.RpcMethodHandler[Any, Any]":
        parse = parser(handler.request_deserializer)
        if handler.response_streaming:
            behavior = handler.stream_stream if handler.request_streaming else handler.unary_stream
            make = (
                grpc.stream_stream_rpc_method_handler
                if handler.request_streaming
                else (grpc.unary_stream_rpc_method_handler)
            )
            return make(
                self._streaming(method, behavior, parse, handler.request_streaming),
                response_serializer=handler.response_serializer,
            )
        if isinstance(handler.unary_unary, RawUnary):
            return grpc.unary_unary_rpc_method_handler(self._raw(method, handler.unary_unary))
        return grpc.unary_unary_rpc_method_handler(
            self._unary(method, handler.unary_unary, parse), response_serializer=handler.response_serializer
        )

    def _unary(self, method: str, behavior: Any, parse: Callable[[bytes], Any]) -> Any:
        frame, access = self._frames(method, self._calls), access_to(method_named(method))
        recording = self._recording(method)

        async def call(request: bytes, context: Any) -> Any:
            with frame(context) as framed:
                try:
                    identity, trace = await self._admit(framed, context, access, len(request))
                    with acting_as(identity), tracing_as(trace):
                        async with asyncio.timeout(self._time_for(context)):
                            parsed = parse(request)
                            if recording is None:
                                # Bytes are passed on to who parses them, and checks.
                                if isinstance(parsed, Message):
                                    access.check_request(identity, parsed)
                                return await behavior(parsed, context)
                            return await recording.around(
                                identity, request, lambda: behavior(parsed, context), framed.status_of
                            )
                except Exception as error:
                    await framed.abort(error)

        return call

    def _raw(self, method: str, behavior: RawUnary) -> Any:
        frame, access = self._frames(method, self._calls), access_to(method_named(method))
        recording = self._recording(method)

        async def call(request: bytes, context: Any) -> Any:
            with frame(context) as framed:
                try:
                    identity, trace = await self._admit(framed, context, access, len(request))
                    timeout_s = self._time_for(context)
                    if recording is None:
                        return await behavior(request, context, identity, trace, timeout_s)
                    return await recording.around(
                        identity,
                        request,
                        lambda: behavior(request, context, identity, trace, timeout_s),
                        framed.status_of,
                    )
                except Exception as error:
                    await framed.abort(error)

        return call

    def _streaming(self, method: str, behavior: Any, parse: Callable[[bytes], Any], many: bool) -> Any:
        frame, access = self._frames(method, self._streams), access_to(method_named(method))

        async def call(request: Any, context: Any) -> AsyncIterator[Any]:
            with frame(context) as framed:
                try:
                    size = 0 if many else len(request)
                    identity, trace = await self._admit(framed, context, access, size)
                    lease = identity.lease if isinstance(identity, Caller) else None
                    with acting_as(identity), tracing_as(trace):
                        requests = _parse_each(request, parse, framed) if many else parse(request)
                        responses = behavior(requests, context)
                    # The identity is bound while each step of the generator runs, not in between: the context of an
                    # asynchronous generator is its consumer's.
                    async with contextlib.aclosing(responses):
                        while True:
                            with acting_as(identity), tracing_as(trace):
                                response = await _next(responses, lease)
                            if response is _END:
                                return
                            yield response
                except Exception as error:
                    await framed.abort(error)

        return call

    def _frames(self, method: str, calls: Bound) -> Callable[[Any], CallFrame]:
        """What makes the frames of a method's calls, each from the call's context."""
        return partial(CallFrame, method, telemetry.CallMetrics(self._service, method), calls, self._request_bytes)

    def _time_for(self, context: Any) -> float:
        remaining: float | None = context.time_remaining()
        return self._bounds.default_timeout_s if remaining is None else remaining

    def _recording(self, method: str) -> Recording | None:
        """The record of a method that decides or may, where one is kept."""
        described = method_named(method)
        if self._recorder is None or described is None or not access_to(described).may_decide:
            return None
        return Recording(self._recorder, described)

    async def _admit(
        self, frame: CallFrame, context: Any, access: Access, request_bytes: int
    ) -> tuple[Identity, TraceContext]:
        # Before anybody is known: to find out who calls may take time too.
        frame.take(request_bytes)
        metadata = context.invocation_metadata() or ()
        identity = await self._authenticate(metadata)
        if self._callers is not None:
            self._callers.check(_names_of_peer(context), identity)
        access.check(identity)
        frame.assign(identity.tenant)
        return identity, frame.traced(metadata)


def _names_of_peer(context: Any) -> list[str]:
    """The DNS names of the certificate that the connection was made with; gRPC has verified it."""
    return [name.decode(errors="replace") for name in context.auth_context().get("peer_dns", ())]


async def _next(responses: Any, lease: Lease | None) -> Any:
    """A stream's next response, or `_END`. Raises Unauthenticated when the caller's credential ends meanwhile."""
    if lease is None:
        return await anext(responses, _END)
    async with lease.held():
        return await anext(responses, _END)


async def _parse_each(
    requests: AsyncIterator[bytes], parse: Callable[[bytes], Any], frame: CallFrame
) -> AsyncIterator[Any]:
    async for request in requests:
        with frame.holding(len(request)):
            yield parse(request)
