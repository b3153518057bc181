"""How channels connect."""

import asyncio
from collections.abc import AsyncIterator, Callable

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health

from autodev_cli.mesh.health import plain_channel
from autodev_fitness.settings import FitnessSettings
from autodev_runtime.clients import peer_channel
from autodev_runtime.extensions.remote import extensions_of
from autodev_runtime.mesh_tls import MeshTls
from autodev_runtime.probe import serves
from autodev_sdk.channel import open_channel

PATIENCE_S = 10.0


@pytest.fixture
async def address() -> AsyncIterator[str]:
    """A server on this machine that has nothing but its health."""
    server = grpc.aio.server()
    health_pb2_grpc.add_HealthServicer_to_server(health.HealthServicer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(None)


@pytest.fixture
async def asked_of_proxy(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[bytes]]:
    """What a proxy is asked, which the environment names and which connects nobody."""
    asked: list[bytes] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readline())
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as proxy:
        for name in ("no_grpc_proxy", "no_proxy", "grpc_proxy", "https_proxy"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("http_proxy", "http://{}:{}".format(*proxy.sockets[0].getsockname()))
        yield asked


@pytest.mark.parametrize(
    "connected",
    [open_channel, plain_channel, lambda address: peer_channel(MeshTls("learning"), "gateway", address)],
    ids=["a client's", "a watcher's", "a service's"],
)
async def test_plain_text_goes_through_no_proxy(
    connected: Callable[[str], grpc.aio.Channel], address: str, asked_of_proxy: list[bytes]
) -> None:
    async with connected(address) as channel:
        answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=PATIENCE_S)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    assert asked_of_proxy == []


async def test_an_extension_is_asked_through_no_proxy(address: str, asked_of_proxy: list[bytes]) -> None:
    settings = FitnessSettings(extensions={"acme.scorer": address})
    async with extensions_of(settings) as extensions:
        stub = health_pb2_grpc.HealthStub(extensions["acme.scorer"].channel)
        answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=PATIENCE_S)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    assert asked_of_proxy == []


async def test_a_probe_goes_through_no_proxy(address: str, asked_of_proxy: list[bytes]) -> None:
    assert await asyncio.to_thread(serves, address)
    assert asked_of_proxy == []
