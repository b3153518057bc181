"""Channels to other services of the mesh: retries, balancing; the current identity and trace on each call."""

from collections.abc import Iterable
from typing import Any

import grpc

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


def outgoing_metadata() -> tuple[tuple[str, str], ...]:
    """What every call to a peer carries: the current identity and trace."""
    return metadata_of(current_identity(), current_trace())


def metadata_of(identity: Identity, trace: TraceContext | None) -> tuple[tuple[str, str], ...]:
    """An identity and a trace as call metadata."""
    traced = ((TRACEPARENT_KEY, trace.traceparent),) if trace is not None else ()
    return (*identity.metadata(), *traced)


async def ask(call: Any, request: Any, timeout_s: float = 30.0) -> Any:
    """Call a peer's unary RPC as the current identity. Raises the taxonomy's errors."""
    try:
        return await call(request, metadata=outgoing_metadata(), timeout=timeout_s)
    except grpc.aio.AioRpcError as error:
        raise error_from_rpc(error) from error


async def channels_ready(channels: Iterable[grpc.aio.Channel]) -> bool:
    """Whether every channel is connected, or connects at once."""
    for channel in channels:
        if channel.get_state(try_to_connect=True) is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
            return False
    return True
