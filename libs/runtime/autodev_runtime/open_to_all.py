"""Health and reflection, which say nothing of a tenant: anybody may ask, so they have a bound of their own."""

import inspect
from collections.abc import AsyncIterator
from typing import Any

import grpc

from autodev_runtime.errors import AutoDevError
from autodev_runtime.in_flight import Bound, Use
from autodev_runtime.parsing import parser
from autodev_runtime.status import abort


class OpenToAll:
    """Wraps their handlers. What asks once is answered at once, whoever holds streams open: an orchestrator does."""

    def __init__(self, most_streams: int) -> None:
        self._streams = Bound("streams of health and reflection", most_streams)

    def wrap(self, handler: Any) -> "grpc.RpcMethodHandler[Any, Any]":
        """The handler, which answers requests that are none with INVALID_ARGUMENT."""
        if not handler.response_streaming:
            return grpc.unary_unary_rpc_method_handler(_unary(handler), response_serializer=handler.response_serializer)
        many = handler.request_streaming
        make = grpc.stream_stream_rpc_method_handler if many else grpc.unary_stream_rpc_method_handler
        return make(self._streaming(handler), response_serializer=handler.response_serializer)

    def _streaming(self, handler: Any) -> Any:
        parse, many = parser(handler.request_deserializer), handler.request_streaming
        behavior = handler.stream_stream if many else handler.unary_stream

        async def parse_each(requests: AsyncIterator[bytes]) -> AsyncIterator[Any]:
            async for request in requests:
                yield parse(request)

        async def call(request: Any, context: Any) -> AsyncIterator[Any]:
            place = Use(self._streams)
            try:
                place.take(1)
                responses = behavior(parse_each(request) if many else parse(request), context)
                if inspect.isawaitable(responses):
                    # gRPC's own health writes its answers by the context.
                    await responses
                    return
                async for response in responses:
                    yield response
            except AutoDevError as error:
                await abort(context, error)
            finally:
                place.end()

        return call


def _unary(handler: Any) -> Any:
    parse, behavior = parser(handler.request_deserializer), handler.unary_unary

    async def call(request: bytes, context: Any) -> Any:
        try:
            parsed = parse(request)
        except AutoDevError as error:
            await abort(context, error)
        return await behavior(parsed, context)

    return call
