"""Which calls are made again when they end as UNAVAILABLE."""

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
