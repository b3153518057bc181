"""Which calls are made again when they end as UNAVAILABLE, or were never begun."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import pytest
import pytest_asyncio

from autodev.sandbox.v1 import sandbox_service_pb2 as pb
from autodev.sandbox.v1.sandbox_service_pb2_grpc import (
    SandboxServiceServicer,
    SandboxServiceStub,
    add_SandboxServiceServicer_to_server,
)
from autodev_sdk.channel import channel_options, open_channel


class Away(SandboxServiceServicer):
    """Counts calls, and is lost under each."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()

    async def _lost(self, name: str, context: Any) -> None:
        self.calls[name] += 1
        await context.abort(grpc.StatusCode.UNAVAILABLE, "lost")

    async def Execute(self, request: pb.ExecuteRequest, context: Any) -> None:  # type: ignore[override]
        await self._lost("Execute", context)

    async def ExecuteStream(self, request: pb.ExecuteStreamRequest, context: Any) -> Any:
        await self._lost("ExecuteStream", context)
        yield

    async def ExecuteBatch(self, request: pb.ExecuteBatchRequest, context: Any) -> Any:
        await self._lost("ExecuteBatch", context)
        yield

    async def Cancel(self, request: pb.CancelRequest, context: Any) -> None:  # type: ignore[override]
        await self._lost("Cancel", context)

    async def GetSandboxStatus(self, request: pb.GetSandboxStatusRequest, context: Any) -> None:  # type: ignore[override]
        await self._lost("GetSandboxStatus", context)


@pytest_asyncio.fixture
async def away() -> AsyncIterator[tuple[Away, str]]:
    servicer, server = Away(), grpc.aio.server()
    add_SandboxServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield servicer, f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


async def call_each(channel: grpc.aio.Channel) -> None:
    stub: Any = SandboxServiceStub(channel)
    calls = (
        stub.Execute(pb.ExecuteRequest()),
        stub.ExecuteStream(pb.ExecuteStreamRequest()).read(),
        stub.ExecuteBatch(pb.ExecuteBatchRequest()).read(),
        stub.GetSandboxStatus(pb.GetSandboxStatusRequest()),
    )
    for call in calls:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await call
        assert failed.value.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize(
    ("connect", "executions"),
    [
        pytest.param(open_channel, 1, id="client"),
        pytest.param(lambda address: grpc.aio.insecure_channel(address, options=channel_options()), 4, id="service"),
    ],
)
async def test_a_client_runs_code_once_and_repeats_what_may_be_repeated(
    away: tuple[Away, str], connect: Callable[[str], grpc.aio.Channel], executions: int
) -> None:
    servicer, address = away
    async with connect(address) as channel:
        await call_each(channel)
    running = dict.fromkeys(("Execute", "ExecuteStream", "ExecuteBatch"), executions)
    assert servicer.calls == {**running, "GetSandboxStatus": 4}


class Stopping(Away):
    """Has its server stop at the first call once it may, while others wait to be begun."""

    def __init__(self) -> None:
        super().__init__()
        self.server = grpc.aio.server()
        add_SandboxServiceServicer_to_server(self, self.server)
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.begun = 0
        self.may_stop = False
        self.stopping: asyncio.Future[None] | None = None

    async def GetSandboxStatus(self, request: pb.GetSandboxStatusRequest, context: Any) -> Any:
        self.begun += 1
        if self.may_stop and self.stopping is None:
            self.stopping = asyncio.ensure_future(self.server.stop(5))
        return pb.GetSandboxStatusResponse()


@pytest.mark.parametrize(
    "connect",
    [
        pytest.param(open_channel, id="client"),
        pytest.param(lambda address: grpc.aio.insecure_channel(address, options=channel_options()), id="service"),
    ],
)
async def test_calls_that_a_stopping_server_had_not_begun_are_made_at_another(
    connect: Callable[[str], grpc.aio.Channel],
) -> None:
    stopping, other = Stopping(), Stopping()
    await asyncio.gather(stopping.server.start(), other.server.start())
    try:
        async with connect(f"ipv4:127.0.0.1:{stopping.port},127.0.0.1:{other.port}") as channel:
            stub: Any = SandboxServiceStub(channel)
            while not (stopping.begun and other.begun):
                await stub.GetSandboxStatus(pb.GetSandboxStatusRequest(), timeout=20)
            before = stopping.begun + other.begun
            stopping.may_stop = True
            calls = [stub.GetSandboxStatus(pb.GetSandboxStatusRequest(), timeout=20) for _ in range(50)]
            await asyncio.gather(*calls)
        assert stopping.stopping is not None
        await stopping.stopping
        assert stopping.begun + other.begun == before + 50, "a call was made twice"
    finally:
        await asyncio.gather(stopping.server.stop(None), other.server.stop(None))


async def test_a_call_that_its_caller_cancels_is_not_made_again() -> None:
    begun, calls = asyncio.Event(), 0

    class Slow(Away):
        async def GetSandboxStatus(self, request: pb.GetSandboxStatusRequest, context: Any) -> Any:
            nonlocal calls
            calls += 1
            begun.set()
            await asyncio.Event().wait()

    server = grpc.aio.server()
    add_SandboxServiceServicer_to_server(Slow(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with open_channel(f"127.0.0.1:{port}") as channel:
        call: Any = SandboxServiceStub(channel).GetSandboxStatus(pb.GetSandboxStatusRequest())
        await begun.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        # Longer than the longest pause before a second try.
        await asyncio.sleep(0.3)
    await server.stop(None)
    assert calls == 1
