"""PostgreSQL and NATS are ended under load, each while the other goes on, and started again."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from autodev.gateway.v1 import event_pb2
from autodev_sdk.events import EventWorker, working
from tests.chaos import readback
from tests.chaos.load import QUOTA, Publisher, events_of, named_agents, prepared
from tests.fleet import Fleet
from tests.nats import NatsServer
from tests.postgresql import Server
from tests.storage import Storage, Storages

AGENTS = 6
AWAY_S = 1.5


@pytest.fixture
def storage(postgresql: Server, nats_server: NatsServer, tmp_path: Path) -> Iterator[Storage]:
    with Storages(postgresql, nats_server).new(tmp_path) as opened:
        yield opened


async def test_restarted_servers_lose_nothing_that_was_acknowledged(
    storage: Storage, postgresql: Server, nats_server: NatsServer
) -> None:
    agents = named_agents(1, AGENTS)
    async with Fleet(storage.directory, storage.settings) as fleet, fleet.client() as client:
        publisher, delivered = Publisher(client), set[str]()

        async def note(event: event_pb2.Event) -> None:
            delivered.add(event.id)

        await prepared(publisher, storage, agents)
        async with working(EventWorker(client.events, "audit", {event_pb2.EVENT_TYPE_TASK_FAILED: note})):
            batches = [[event] for agent in agents for event in events_of(agent)]
            publishing = asyncio.ensure_future(publisher.publish_all(batches, 4 * AWAY_S))
            await _away(postgresql.stop, postgresql.start)
            await _away(nats_server.kill, nats_server.start)
            await publishing
            await readback.worked_through(storage, len(agents) * QUOTA)
        assert publisher.refusals, "nobody noticed that a server was away"
        log = await readback.check_log(client, publisher.acknowledged)
        assert {event.id for event in log if event.HasField("task_failed")} <= delivered
        readback.check_steps(log)
        await readback.check_learned(storage, agents, {event.task_failed.episode_id for (event,) in batches})
        await readback.check_quotas(storage)
        await readback.check_reviews(storage)
        await readback.check_no_dead_letters(storage)
        assert not [replica.name for replica in fleet.replicas.values() if replica.endings], "a service ended by itself"


async def _away(stop: Callable[[], None], start: Callable[[], None]) -> None:
    await asyncio.sleep(AWAY_S / 2)
    await asyncio.to_thread(stop)
    try:
        await asyncio.sleep(AWAY_S)
    finally:
        await asyncio.to_thread(start)
