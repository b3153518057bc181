"""Two replicas of each service, killed at random under load: nothing is lost and nothing is done twice.

How much is set by the environment: AUTODEV_CHAOS_KILLS and AUTODEV_CHAOS_EPISODES (`make chaos` takes 200 and 5,000),
AUTODEV_CHAOS_SEED for a run that failed. At the end everything is read back: see readback.py.
"""

import asyncio
import contextlib
import os
import random
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from autodev.gateway.v1 import event_pb2
from autodev.learning.v1 import review_service_pb2
from autodev_sdk import AutoDevClient
from autodev_sdk.events import EventWorker, WorkerOptions
from tests.chaos import readback
from tests.chaos.load import (
    QUOTA,
    TASKS,
    Publisher,
    called,
    events_of,
    named_agents,
    prepared,
)
from tests.fleet import Fleet
from tests.mesh import SERVICES
from tests.postgresql import Server
from tests.storage import Storage, Storages

KILLS = int(os.environ.get("AUTODEV_CHAOS_KILLS", "10"))
EPISODES = int(os.environ.get("AUTODEV_CHAOS_EPISODES", "96"))
SEED = int(os.environ.get("AUTODEV_CHAOS_SEED", str(random.SystemRandom().randrange(1_000_000))))
REPLICAS = 2
MOST_AGENTS = 60
"""Past them, agents fail more often: each makes four patterns, and what these cost is processor time, not danger."""
EVENTS_A_CALL = 4
KILL_EVERY_S = (0.2, 1.2)
"""Between two kills. A service is back within about half a second, so that both replicas of one may be gone at once."""


@pytest.fixture(params=["sql", "jetstream"])
def storage(request: pytest.FixtureRequest, postgresql: Server, tmp_path: Path) -> Iterator[Storage]:
    """PostgreSQL for every service, and the event log there too or in NATS JetStream."""
    nats = request.getfixturevalue("nats_server") if request.param == "jetstream" else None
    with Storages(postgresql, nats).new(tmp_path) as opened:
        yield opened


async def test_killed_replicas_lose_nothing_and_repeat_nothing(storage: Storage) -> None:
    print(f"AUTODEV_CHAOS_SEED={SEED} AUTODEV_CHAOS_KILLS={KILLS} AUTODEV_CHAOS_EPISODES={EPISODES}")
    chance = random.Random(SEED)
    agents = named_agents(SEED, min(MOST_AGENTS, max(1, EPISODES // (2 * len(TASKS)))))
    failures = max(2, EPISODES // (len(agents) * len(TASKS)))
    events = [event for agent in agents for event in events_of(agent, failures)]
    chance.shuffle(events)
    started = time.monotonic()
    async with (
        Fleet(storage.directory, storage.settings, replicas=REPLICAS) as fleet,
        fleet.client() as client,
        fleet.client(1) as one,
        fleet.client(2) as other,
    ):
        publishers = [Publisher(each) for each in (client, one, other, client)]
        await prepared(publishers[0], storage, agents)
        delivered: set[str] = set()
        async with _group(client, delivered), _approving(client):
            load_s = KILLS * sum(KILL_EVERY_S) / 2
            batches = [events[at : at + EVENTS_A_CALL] for at in range(0, len(events), EVENTS_A_CALL)]
            publishing = [
                asyncio.ensure_future(publisher.publish_all(batches[number :: len(publishers)], load_s))
                for number, publisher in enumerate(publishers)
            ]
            await _kill(fleet, chance)
            await asyncio.gather(*publishing)
            await fleet.serving()
            loaded = time.monotonic()
            await readback.settled(storage, len(agents) * QUOTA)
            print(f"{KILLS} kills under load in {loaded - started:.1f} s, done {time.monotonic() - loaded:.1f} s later")
        acknowledged = {key: cursor for publisher in publishers for key, cursor in publisher.acknowledged.items()}
        assert acknowledged.keys() >= {event.id for event in events}
        assert not acknowledged.keys() - delivered, "an acknowledged event never reached a group"
        logs = [await readback.check_log(each, acknowledged) for each in (one, other)]
        assert [event.id for event in logs[0]] == [event.id for event in logs[1]]
        steps = readback.check_steps(logs[0])
        assert steps["failure_pattern_detected"] >= len(agents) * len(TASKS)
        assert steps["review_requested"] == steps["review_decided"] == steps["skill_promoted"] == len(agents) * QUOTA
        await readback.check_learned(storage, agents, {event.task_failed.episode_id for event in events})
        await readback.check_quotas(storage)
        await readback.check_reviews(storage)
        await readback.check_no_dead_letters(storage)
        ended = {replica.name: replica.endings for replica in fleet.replicas.values() if replica.endings}
        assert not ended, "a service ended by itself"


async def _kill(fleet: Fleet, chance: random.Random) -> None:
    names = [f"{service}-{number}" for service in SERVICES for number in range(1, REPLICAS + 1)]
    done = 0
    while done < KILLS:
        await asyncio.sleep(chance.uniform(*KILL_EVERY_S))
        done += fleet.kill(chance.choice(names))


@contextlib.asynccontextmanager
async def _group(client: AutoDevClient, delivered: set[str]) -> AsyncIterator[None]:
    """Two workers of a group of the tenant's own, which note what they are given."""

    async def note(event: event_pb2.Event) -> None:
        delivered.add(event.id)

    kinds = (event_pb2.EVENT_TYPE_TASK_FAILED, event_pb2.EVENT_TYPE_TASK_SUCCEEDED)
    workers = [
        EventWorker(client.events, "audit", dict.fromkeys(kinds, note), WorkerOptions(max_in_flight=32))
        for _ in range(2)
    ]
    tasks = [asyncio.ensure_future(worker.run()) for worker in workers]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def _approving(client: AutoDevClient) -> AsyncIterator[None]:
    """A reviewer approves whatever waits."""
    task = asyncio.ensure_future(_approve(client))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _approve(client: AutoDevClient) -> None:
    waiting = review_service_pb2.ListReviewsRequest(state=review_service_pb2.REVIEW_STATE_WAITING, page_size=100)
    while True:
        for review in (await called(lambda: client.reviews.ListReviews(waiting, timeout=5))).reviews:
            approval = review_service_pb2.ApproveReviewRequest(review_id=review.id, reason="it is right")
            await called(lambda approval=approval: client.reviews.ApproveReview(approval, timeout=5))
        await asyncio.sleep(0.2)
