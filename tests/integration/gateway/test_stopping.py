"""A gateway that is told to stop ends within a bound, whatever state its database and its log are in."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from nats.aio.client import Client

from autodev.gateway.v1 import event_service_pb2 as pb
from autodev_gateway.event_log import log as event_log
from autodev_gateway.event_log.jetstream.connection import connected
from autodev_gateway.event_log.jetstream.stream import Message
from autodev_gateway.settings import GatewaySettings
from autodev_runtime.errors import Unavailable
from autodev_sdk import ending
from tests.integration.gateway.parts import Running, failed, publish, started, working
from tests.nats import NatsServer
from tests.postgresql import Server
from tests.storage import JETSTREAM_POSTGRESQL, Storage

BOUND_S = 20.0
"""With the ten seconds that calls have by default, it is what orchestrators give a process before they kill it."""
ONCE_S = 14.0
"""One bound, and not the sum of those of all that waits for the database: a second for calls, nine for the rest."""

pytestmark = pytest.mark.parametrize("storages", [JETSTREAM_POSTGRESQL], indirect=True)


@contextlib.asynccontextmanager
async def stopping(storage: Storage, bound_s: float = BOUND_S) -> AsyncIterator[Running]:
    """A gateway that is busy, and is told to stop at the block's end."""
    async with contextlib.AsyncExitStack() as stack:
        running = await stack.enter_async_context(started(storage))
        client = await stack.enter_async_context(running.client())
        await publish(client, [failed(number) for number in range(5)])
        worker = await stack.enter_async_context(working(client, max_in_flight=2))
        await worker.next()
        subscriber = client.events.Subscribe(pb.SubscribeRequest(at=pb.START_AT_EARLIEST))
        await subscriber.initial_metadata()
        publishing = asyncio.ensure_future(publish(client, [failed(6)]))
        yield running
        began = time.monotonic()
        await stack.aclose()
        publishing.cancel()
        await asyncio.gather(publishing, return_exceptions=True)
        assert time.monotonic() - began < bound_s


async def test_while_its_database_does_not_answer(storage: Storage, postgresql: Server) -> None:
    async with asyncio.timeout(120), contextlib.AsyncExitStack() as stack, stopping(storage, ONCE_S):
        stack.enter_context(postgresql.paused())


async def test_while_nats_does_not_answer(storage: Storage, nats_server: NatsServer) -> None:
    async with asyncio.timeout(120), contextlib.AsyncExitStack() as stack, stopping(storage):
        stack.enter_context(nats_server.paused())


async def test_while_nats_does_not_read_what_it_is_sent(storage: Storage, nats_server: NatsServer) -> None:
    """More than the system keeps of what was sent."""
    assert storage.stream is not None
    options = GatewaySettings(**storage.stream.settings).nats_options
    async with asyncio.timeout(60), contextlib.AsyncExitStack() as stack:
        async with connected(options) as stream:
            stack.enter_context(nats_server.paused())
            sending = asyncio.ensure_future(stream.append([Message("elsewhere", bytes(2**20))] * 40, after=0))
            await asyncio.wait([sending], timeout=1)
        with pytest.raises(Unavailable):
            await sending


async def test_though_an_answer_of_nats_came_with_the_cancellation(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which the library's way to wait takes for the answer alone."""
    monkeypatch.setattr(ending, "AGAIN_S", 0.2)
    monkeypatch.setattr(event_log, "POLL_S", 0.0)
    lost: set[asyncio.Task[Any] | None] = set()
    asked = Client.request

    async def request(client: Client, *args: Any, **kwargs: Any) -> Any:
        try:
            await asyncio.sleep(0.05)
            return await asked(client, *args, **kwargs)
        except asyncio.CancelledError:
            if asyncio.current_task() in lost:
                raise
            lost.add(asyncio.current_task())
            return await asked(client, *args, **kwargs)

    monkeypatch.setattr(Client, "request", request)
    async with asyncio.timeout(120), stopping(storage):
        await asyncio.sleep(0.5)
    assert lost
