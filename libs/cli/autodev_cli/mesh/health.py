"""Whether a service serves, told by itself as it changes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from autodev_runtime.mesh_tls import MeshTls, renewed
from autodev_runtime.settings import CertificateFiles
from autodev_sdk.channel import DIRECT

RETRY_S = 0.05
Serving = health_pb2.HealthCheckResponse.ServingStatus

_OPTIONS = [
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 200),
    DIRECT,
]


def plain_channel(address: str) -> grpc.aio.Channel:
    """A channel to watch a service by."""
    return grpc.aio.insecure_channel(address, options=_OPTIONS)


@contextlib.asynccontextmanager
async def mesh_channel(service: str, address: str, files: CertificateFiles) -> AsyncIterator[grpc.aio.Channel]:
    """The same by mutual TLS, with the service's own certificate."""
    async with renewed("watch", files) as certificates:
        yield MeshTls(service, certificates).channel(service, address, _OPTIONS)


async def watch(channel: AbstractAsyncContextManager[grpc.aio.Channel], changed: Callable[[bool], None]) -> None:
    """Call `changed` with whether the whole server serves, each time that changes. Never ends by itself."""
    async with channel as connected:
        stub = health_pb2_grpc.HealthStub(connected)
        answered = False
        while True:
            try:
                async for answer in stub.Watch(health_pb2.HealthCheckRequest()):
                    answered = True
                    changed(answer.status == Serving.SERVING)
            except grpc.aio.AioRpcError:
                # Before its first answer it is starting, which is known already.
                if answered:
                    changed(False)
            await asyncio.sleep(RETRY_S)


async def check(channel: grpc.aio.Channel, service: str = "", timeout_s: float = 2.0) -> str:
    """A service's state now: SERVING, NOT_SERVING, or the status of a call that failed."""
    request = health_pb2.HealthCheckRequest(service=service)
    try:
        answer = await health_pb2_grpc.HealthStub(channel).Check(request, timeout=timeout_s)
    except grpc.aio.AioRpcError as error:
        return error.code().name
    return str(Serving.Name(answer.status))
