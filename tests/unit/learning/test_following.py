"""Experiments are followed until they are over, and nothing is left of those that nobody follows any more."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime

import pytest

from autodev_learning.evolution import following
from autodev_learning.evolution.experiments import Experiment, ExperimentBudget, ExperimentState
from autodev_learning.evolution.following import Followers
from autodev_learning.rows import OutboxRow
from autodev_learning.store.experiments import ExperimentStore
from autodev_runtime.errors import NotFound
from autodev_runtime.identity import acting_as, service_identity
from autodev_runtime.migrations import upgrade
from autodev_runtime.outbox import Outbox
from tests.mesh import eventually
from tests.storage import Storage

START = datetime(2026, 1, 1, tzinfo=UTC)
EXPERIMENT = Experiment("e1", "r1", "skill-1", "1.0.0", "a1", ExperimentBudget(), START)


@pytest.fixture
async def experiments(storage: Storage) -> AsyncIterator[ExperimentStore]:
    async with storage.open("learning") as database:
        await upgrade(database, "autodev_learning")
        with acting_as(service_identity("learning", "acme")):
            store = ExperimentStore(database, Outbox(database, OutboxRow), most=1)
            await store.add(EXPERIMENT)
            yield store


async def test_what_is_not_there_is_remembered_by_nobody(experiments: ExperimentStore) -> None:
    followers = Followers(experiments)
    for number in range(20):
        with pytest.raises(NotFound):
            await anext(aiter(followers.follow(f"unknown-{number}")))
    assert len(followers) == 0


async def test_a_follower_that_goes_leaves_nothing(experiments: ExperimentStore) -> None:
    followers = Followers(experiments)
    async with aclosing(followers.follow("e1")) as seen:  # type: ignore[type-var]
        assert (await anext(seen)).id == "e1"
        assert len(followers) == 0
        waits = asyncio.ensure_future(anext(seen))

        async def waiting() -> bool:
            return len(followers) == 1

        await eventually(waiting, "the follower waits for a change")
        waits.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waits
    assert len(followers) == 0


async def test_every_follower_sees_each_change_at_once_until_the_end(
    experiments: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "LOOK_AGAIN_S", 60.0)
    followers = Followers(experiments)

    seen: list[list[tuple[str, bool]]] = [[], [], []]

    async def follow(states: list[tuple[str, bool]]) -> None:
        async for each in followers.follow("e1"):
            states.append((each.stop_reason, each.ended_at is not None))

    async def seen_by_all(count: int) -> None:
        async def look() -> bool:
            return [len(states) for states in seen] == [count] * len(seen)

        await eventually(look, f"every follower has seen {count} states", 20.0)

    followed = [asyncio.ensure_future(follow(states)) for states in seen]
    await seen_by_all(1)
    await experiments.stop("e1", "enough", ExperimentState.CANCELLED)
    followers.wake("e1")
    await seen_by_all(2)
    await experiments.end("e1", START, None)
    followers.wake("e1")
    async with asyncio.timeout(20):
        await asyncio.gather(*followed)
    assert seen == [[("", False), ("enough", False), ("enough", True)]] * len(seen)
    assert len(followers) == 0
