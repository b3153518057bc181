"""Channels to other services of the mesh: retries, balancing; the current identity and trace on each call."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import grpc

from autodev_runtime import spans
from autodev_runtime.identity import Identity, current_identity
from autodev_runtime.mesh_tls import MeshTls
from autodev_runtime.status import error_from_rpc
from autodev_runtime.tracing import TRACEPARENT_KEY, TraceContext, current_trace
from autodev_sdk.channel import channel_options

MESH_KEEPALIVE_S = 5.0
"""How long a connection within the mesh may be silent before it is tried."""


def peer_channel(tls: MeshTls, peer: str, address: str, max_message_bytes: int = 8 * 1024 * 1024) -> grpc.aio.Channel:
    """A channel to the service `peer`. Calls on it act as the current identity."""
    return tls.channel(peer, address, channel_options(max_message_bytes, MESH_KEEPALIVE_S))


Metadata = tuple[tuple[str, str], ...]


def outgoing_metadata() -> Metadata:
    """What every call to a peer carries: the current identity and trace."""
    return metadata_of(current_identity(), current_trace())


def metadata_of(identity: Identity, trace: TraceContext | None) -> Metadata:
    """An identity and a trace as call metadata."""
    traced = ((TRACEPARENT_KEY, trace.traceparent),) if trace is not None else ()
    return (*identity.metadata(), *traced)


async def ask(call: Any, request: Any, timeout_s: float = 30.0) -> Any:
    """Call a peer's unary RPC as the current identity. Raises the taxonomy's errors."""

    async def answer(metadata: Metadata) -> Any:
        return await call(request, metadata=metadata, timeout=timeout_s)

    return await _asked(call, answer)


async def ask_for_all(call: Any, request: Any, timeout_s: float = 30.0) -> list[Any]:
    """Call a peer's streaming RPC, and give all that it answers once it ended. Raises as `ask`, and then gives none."""

    async def answers(metadata: Metadata) -> list[Any]:
        return [each async for each in call(request, metadata=metadata, timeout=timeout_s)]

    found: list[Any] = await _asked(call, answers)
    return found


async def _asked(call: Any, answer: Callable[[Metadata], Awaitable[Any]]) -> Any:
    try:
        if spans.recording() and (trace := current_trace()) is not None:
            return await _traced(call, answer, trace)
        return await answer(outgoing_metadata())
    except grpc.aio.AioRpcError as error:
        raise error_from_rpc(error) from error


async def _traced(call: Any, answer: Callable[[Metadata], Awaitable[Any]], trace: TraceContext) -> Any:
    span = spans.calling(call._method.decode(), trace)
    if span is None:
        return await answer(outgoing_metadata())
    outcome: BaseException | None = None
    try:
        return await answer(metadata_of(current_identity(), span.trace))
    except BaseException as error:
        outcome = error
        raise
    finally:
        span.answered(spans.code_of_outcome(outcome))


async def channels_ready(channels: Iterable[grpc.aio.Channel]) -> bool:
    """Whether every channel is connected, or connects at once."""
    for channel in channels:
        if channel.get_state(try_to_connect=True) is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
            return False
    return True
