"""A gateway in this process, on free ports and real files, that a test can start again."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import Any, cast

import grpc

from autodev.gateway.v1 import event_pb2
from autodev.gateway.v1 import event_service_pb2 as pb
from autodev_gateway.__main__ import NAME, Gateway, gateway
from autodev_gateway.settings import GatewaySettings
from autodev_runtime.identity import Identity, service_identity
from autodev_runtime.server import running
from autodev_sdk import AutoDevClient, make_event
from autodev_sdk.client import _KeyedChannel
from tests.mesh import eventually
from tests.storage import Storage

ACME, GLOBEX = "acme", "globex"
PATIENCE_S = 20.0


@dataclass(frozen=True)
class Running:
    """A gateway that serves."""

    parts: Gateway
    settings: GatewaySettings

    def client(self, tenant: str = ACME) -> AutoDevClient:
        """A tenant's developer, at the public door."""
        return AutoDevClient(self.public_address, self.key(tenant))

    def key(self, tenant: str) -> str:
        """The tenant's development key."""
        return (self.settings.data_dir / "keys" / f"{tenant}.key").read_text().strip()

    @property
    def public_address(self) -> str:
        """The clients' door."""
        return f"127.0.0.1:{self.parts.public.port}"

    @property
    def internal_address(self) -> str:
        """The services' door."""
        return f"127.0.0.1:{self.parts.internal.port}"

    @contextlib.asynccontextmanager
    async def service(self, identity: Identity | None = None) -> AsyncIterator[grpc.aio.Channel]:
        """A channel of a service of the mesh, at the internal door."""
        async with grpc.aio.insecure_channel(self.internal_address) as channel:
            stated = (identity or service_identity("learning")).metadata()
            yield cast(grpc.aio.Channel, _KeyedChannel(channel, stated))


@contextlib.asynccontextmanager
async def started(storage: Storage, **stated: Any) -> AsyncIterator[Running]:
    """A gateway on the test's storage, with these settings on top."""
    common = {
        "port": 0,
        "internal_port": 0,
        "metrics_port": 0,
        "drain_s": 1.0,
        "data_dir": storage.directory,
        "database_url": storage.url(NAME),
        "development_tenants": [ACME, GLOBEX],
    }
    log = storage.stream.settings if storage.stream is not None else {}
    settings = GatewaySettings(**{**common, **log, **stated})
    async with (
        gateway(settings) as parts,
        running(NAME, settings, [parts.public, parts.internal], ready=parts.ready, background=parts.background),
    ):
        yield Running(parts, settings)


class OverChannel(AutoDevClient):
    """A client over a channel that somebody else made, and closes: a service's."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel


def failed(number: int, agent: str = "ada", **changes: Any) -> event_pb2.Event:
    """A report of a failed attempt."""
    task = event_pb2.TaskEvent(
        episode_id=f"episode-{number}",
        agent_id=agent,
        task_description="add two numbers",
        error_trace="AssertionError",
        outcome=event_pb2.OUTCOME_FAILURE,
        **changes,
    )
    return make_event(task)


def ran(skill: str, agent: str = "ada", output: str = "") -> event_pb2.Event:
    """A report of a skill's run."""
    return make_event(
        event_pb2.SkillExecutionEvent(execution_id="run-1", agent_id=agent, skill_id=skill, success=True, output=output)
    )


async def publish(client: AutoDevClient, events: Iterable[event_pb2.Event]) -> list[str]:
    """Publish in one call. Returns the cursors."""
    response = await client.events.Publish(pb.PublishRequest(events=events), timeout=PATIENCE_S)
    return list(response.cursors)


async def read(client: AutoDevClient, count: int, **request: Any) -> list[event_pb2.Event]:
    """The first events of a subscription; those that come with the last of them as well."""
    events: list[event_pb2.Event] = []
    stream = client.events.Subscribe(pb.SubscribeRequest(**request))
    async with asyncio.timeout(PATIENCE_S):
        async for response in stream:
            events += response.events
            if len(events) >= count:
                break
    stream.cancel()
    return events


async def until(holds: Callable[[], bool], what: str) -> None:
    """Wait for something to hold. Fails after a while."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, f"not within {PATIENCE_S:g} s: {what}"
        await asyncio.sleep(0.01)


class WorkerStream:
    """One worker's connection, spoken by hand."""

    def __init__(self, client: AutoDevClient, start: pb.ConsumeStart) -> None:
        self._requests: asyncio.Queue[pb.ConsumeRequest | None] = asyncio.Queue()
        self.say(pb.ConsumeRequest(start=start))
        self.call = client.events.Consume(self._spoken())
        self._responses = aiter(self.call)
        self._waiting: list[pb.Delivery] = []

    async def _spoken(self) -> AsyncIterator[pb.ConsumeRequest]:
        while (request := await self._requests.get()) is not None:
            yield request

    def say(self, request: pb.ConsumeRequest) -> None:
        """Send a request."""
        self._requests.put_nowait(request)

    def finish(self) -> None:
        """Say no more."""
        self._requests.put_nowait(None)

    async def joined(self) -> None:
        """Wait until the gateway has the worker in its group."""
        async with asyncio.timeout(PATIENCE_S):
            await self.call.initial_metadata()

    async def next(self) -> pb.Delivery:
        """The next delivery."""
        async with asyncio.timeout(PATIENCE_S):
            while not self._waiting:
                self._waiting += (await anext(self._responses)).deliveries
        return self._waiting.pop(0)

    def acknowledge(self, *deliveries: pb.Delivery) -> None:
        """Settle as done."""
        ids = [each.delivery_id for each in deliveries]
        self.say(pb.ConsumeRequest(acknowledge=pb.Acknowledge(delivery_ids=ids)))

    def reject(self, delivery: pb.Delivery, error: str = "boom", retry_s: float | None = 0.0) -> None:
        """Settle as failed."""
        reject = pb.Reject(delivery_id=delivery.delivery_id, error=error)
        if retry_s is not None:
            reject.retry_after.FromMicroseconds(int(retry_s * 1_000_000))
        self.say(pb.ConsumeRequest(reject=reject))


@contextlib.asynccontextmanager
async def working(
    client: AutoDevClient, group: str = "group", *, lease_s: float | None = None, **start: Any
) -> AsyncIterator[WorkerStream]:
    """A worker that has joined, and is gone after the block."""
    stated = pb.ConsumeStart(group=group, **start)
    if lease_s is not None:
        stated.lease.FromMicroseconds(int(lease_s * 1_000_000))
    worker = WorkerStream(client, stated)
    try:
        await worker.joined()
        yield worker
    finally:
        worker.call.cancel()


async def dead_letters(client: AutoDevClient, group: str = "group") -> list[pb.DeadLetter]:
    """The first page of a group's dead letters."""
    response = await client.events.ListDeadLetters(pb.ListDeadLettersRequest(group=group))
    return list(response.dead_letters)


async def fail_all(worker: WorkerStream, count: int, error: str = "boom") -> None:
    """Fail so many events until they are given up."""
    for _ in range(count * 5):
        delivery = await worker.next()
        worker.reject(delivery, f"{error} at try {delivery.attempt}")


async def given_up(client: AutoDevClient, count: int, group: str = "group") -> list[pb.DeadLetter]:
    """The group's dead letters, once there are so many."""

    async def letters() -> list[pb.DeadLetter] | None:
        found = await dead_letters(client, group)
        return found if len(found) == count else None

    return await eventually(letters, f"{count} dead letters")
