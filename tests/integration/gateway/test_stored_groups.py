"""What consumer groups leave on disk, whatever one of them does."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from prometheus_client import REGISTRY

from autodev_gateway.event_log import ALL_EVENTS, Draft, EventLog, Filter, LogOptions, Record
from autodev_gateway.event_log.retention import Retention
from autodev_gateway.event_log.store import EventStore
from autodev_gateway.groups import runner
from autodev_gateway.groups.groups import Groups, JoinOptions
from autodev_gateway.groups.ledger import MAX_DELIVERIES, MAX_FAILURES, Changes, DeadLetter
from autodev_gateway.groups.runner import Delivery, GroupRunner, Worker
from autodev_gateway.groups.store import GroupKey, GroupStore
from autodev_runtime.database import Database
from autodev_runtime.errors import FailedPrecondition, NotFound, Unavailable
from autodev_runtime.identity import ALL_TENANTS
from autodev_runtime.migrations import upgrade
from autodev_sdk.ending import ended
from tests.integration.gateway.parts import PATIENCE_S, failed, publish, started, until
from tests.storage import Storage

KEY = GroupKey("acme", "group")
FROM_START = JoinOptions(ALL_EVENTS, from_now=False)
REFUSED_ON_SQLITE = (
    "CREATE TRIGGER refused BEFORE INSERT ON deliveries WHEN new.group_name = 'refused'"
    " BEGIN SELECT RAISE(ABORT, 'refused'); END"
)
REFUSED_ON_POSTGRESQL = "ALTER TABLE deliveries ADD CONSTRAINT refused CHECK (group_name <> 'refused')"


@pytest_asyncio.fixture
async def database(storage: Storage) -> AsyncIterator[Database]:
    async with storage.open("gateway") as opened:
        await upgrade(opened, "autodev_gateway")
        yield opened


@pytest_asyncio.fixture
async def log(database: Database) -> AsyncIterator[EventLog]:
    opened = await EventLog.open(EventStore(database), LogOptions(retention=Retention(size_bytes=1)))
    running = asyncio.create_task(opened.run())
    await opened.append([Draft("acme", f"{1:036d}", 20, "ada", "", b"event")])
    yield opened
    await ended(running)


@pytest_asyncio.fixture
async def groups(database: Database, log: EventLog) -> AsyncIterator[Groups]:
    opened = Groups(GroupStore(database), log)
    running = asyncio.create_task(opened.run())
    yield opened
    await ended(running)


@contextlib.asynccontextmanager
async def working(groups: Groups, key: GroupKey = KEY) -> AsyncIterator[tuple[GroupRunner, Worker]]:
    group = await groups.join(key, FROM_START)
    with group.worker(1, 30.0) as worker:
        yield group, worker


async def delivered(group: GroupRunner, worker: Worker) -> Delivery:
    async with asyncio.timeout(PATIENCE_S):
        while not (taken := group.take(worker, 1)):
            await worker.wake.wait()
            worker.wake.clear()
    return taken[0]


async def give_up(group: GroupRunner, worker: Worker, error: str) -> None:
    for _ in range(MAX_FAILURES):
        delivery = await delivered(group, worker)
        group.reject(worker, delivery.lease.delivery_id, error, 0.0)


async def test_an_error_of_any_text_is_stored(groups: Groups) -> None:
    async with working(groups) as (group, worker):
        await give_up(group, worker, "no\0 text \ud800")
        ((letter, _),) = await groups.dead_letters.listed(KEY, 0, 10)
    assert letter.error == "no text ?"


async def test_a_dead_letter_whose_commit_was_not_answered_is_stored_again(
    database: Database, groups: Groups, log: EventLog
) -> None:
    store = GroupStore(database)
    tenure = await store.create(KEY, 0, ALL_EVENTS)
    changes = Changes(log.head, dead=[DeadLetter(log.head, 5, "boom")])
    await store.save({tenure: changes})
    await store.save({tenure: changes})
    ((letter, _),) = await groups.dead_letters.listed(KEY, 0, 10)
    assert (letter.attempts, letter.error) == (5, "boom")


async def test_a_group_that_the_database_refuses_keeps_no_other_from_the_disk(storage: Storage, groups: Groups) -> None:
    await storage.alter("gateway", REFUSED_ON_SQLITE if storage.database is None else REFUSED_ON_POSTGRESQL)
    async with working(groups, GroupKey("acme", "refused")) as refused, working(groups) as (group, worker):
        await delivered(*refused)
        await give_up(group, worker, "boom")
        ((letter, _),) = await groups.dead_letters.listed(KEY, 0, 10)
        assert not await groups.saving.flush()
    assert letter.error == "boom"


async def test_an_event_that_could_not_be_read_was_not_tried(groups: Groups, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "RETRY_S", 0.0)
    async with working(groups) as (group, worker):
        assert (await delivered(group, worker)).lease.attempt == 1
    failing, by_seq = iter(range(MAX_DELIVERIES)), EventStore.by_seq

    async def away_at_first(store: EventStore, *asked: Any) -> list[Record]:
        if next(failing, None) is not None:
            raise Unavailable("the database is away", reason="DATABASE_UNAVAILABLE")
        return await by_seq(store, *asked)

    monkeypatch.setattr(EventStore, "by_seq", away_at_first)
    async with working(groups) as (group, worker):
        assert (await delivered(group, worker)).lease.attempt == 2


@pytest_asyncio.fixture
async def unstored(database: Database, log: EventLog) -> AsyncIterator[Groups]:
    """Groups whose changes nobody stores by the way."""
    opened = Groups(GroupStore(database), log)
    yield opened
    # Its end ends the groups' tasks.
    running = asyncio.create_task(opened.run())
    await asyncio.sleep(0)
    await ended(running)


async def taken_over(groups: Groups) -> None:
    """Another gateway may take the group, as when the claim is lost and nobody has heard of it yet."""
    await groups._claims.release(f"group {KEY.tenant} {KEY.name}")


async def test_a_gateway_whose_group_another_took_stores_nothing_of_it_and_ends_its_workers(
    unstored: Groups, groups: Groups, log: EventLog, storage: Storage
) -> None:
    async with working(unstored) as (late, worker):
        await log.append([Draft("acme", f"{2:036d}", 20, "ada", "", b"event")])
        await give_up(late, worker, "boom")
        await delivered(late, worker)
        await taken_over(unstored)
        async with working(groups) as (group, other):
            for _ in range(2):
                delivery = await delivered(group, other)
                assert delivery.lease.attempt == 1
                group.acknowledge(other, [delivery.lease.delivery_id])
            await groups.saving.flush()
        stored = await storage.rows("gateway", "SELECT * FROM consumer_groups")
        assert await unstored.saving.flush()
        assert await storage.rows("gateway", "SELECT * FROM consumer_groups") == stored
        assert await storage.rows("gateway", "SELECT * FROM deliveries") == []
        assert await storage.rows("gateway", "SELECT * FROM dead_letters") == []
        with pytest.raises(Unavailable) as told:
            late.check()
    assert told.value.reason == "GROUP_ELSEWHERE"


async def test_a_gateway_whose_group_another_took_replays_to_it(unstored: Groups, groups: Groups) -> None:
    async with working(unstored) as (late, worker):
        await give_up(late, worker, "boom")
        await unstored.saving.flush()
        await taken_over(unstored)
        async with working(groups) as (group, other):
            assert await unstored.dead_letters.replay(KEY, None) == 1
            assert (await delivered(group, other)).lease.attempt == 1
            assert await groups.dead_letters.replay(KEY, None) == 0


async def test_what_is_replayed_while_nobody_stores_it_is_delivered_after_a_crash(
    unstored: Groups, groups: Groups, storage: Storage
) -> None:
    async with working(unstored) as (late, worker):
        await give_up(late, worker, "boom")
        assert await unstored.dead_letters.replay(KEY, None) == 1
        await unstored.saving.readmit()
        assert (await delivered(late, worker)).lease.attempt == 1
    await taken_over(unstored)
    async with working(groups) as (group, other):
        delivery = await delivered(group, other)
        assert delivery.lease.attempt == 1
        group.acknowledge(other, [delivery.lease.delivery_id])
        await groups.saving.flush()
        assert await storage.rows("gateway", "SELECT * FROM deliveries") == []
        assert await storage.rows("gateway", "SELECT * FROM dead_letters") == []


async def test_replays_are_taken_back_as_there_is_room(
    groups: Groups, log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autodev_gateway.groups.saving.MAX_UNSETTLED", 2)
    await log.append([Draft("acme", f"{number:036d}", 20, "ada", "", b"event") for number in range(2, 6)])
    async with working(groups) as (group, worker):
        for _ in range(5):
            await give_up(group, worker, "boom")
        assert await groups.dead_letters.replay(KEY, None) == 5
        seqs = []
        for _ in range(5):
            delivery = await delivered(group, worker)
            assert group.ledger.unsettled <= 2
            seqs.append(delivery.record.seq)
            group.acknowledge(worker, [delivery.lease.delivery_id])
        assert len(set(seqs)) == 5


async def test_a_group_that_is_deleted_and_made_anew_has_nothing_of_the_one_before(
    unstored: Groups, groups: Groups, log: EventLog, storage: Storage
) -> None:
    async with working(unstored) as (late, worker):
        await give_up(late, worker, "boom")
        await unstored.saving.flush()
        await log.append([Draft("acme", f"{2:036d}", 20, "ada", "", b"event")])
        await delivered(late, worker)
        await taken_over(unstored)
        await groups.delete(KEY)
        for table in ("consumer_groups", "deliveries", "dead_letters"):
            assert await storage.rows("gateway", f"SELECT * FROM {table}") == []
        async with working(groups) as (group, other):
            assert (await delivered(group, other)).lease.attempt == 1
            await groups.saving.flush()
            stored = await storage.rows("gateway", "SELECT * FROM consumer_groups")
            # The one that has not heard of it stores nothing, neither before nor after.
            assert await unstored.saving.flush()
            assert await storage.rows("gateway", "SELECT * FROM consumer_groups") == stored
            with pytest.raises(Unavailable):
                late.check()


async def test_a_group_with_workers_is_not_deleted(groups: Groups) -> None:
    async with working(groups) as (group, worker):
        await give_up(group, worker, "boom")
        with pytest.raises(FailedPrecondition) as told:
            await groups.delete(KEY)
        assert told.value.reason == "GROUP_IN_USE"
        assert len(await groups.dead_letters.listed(KEY, 0, 10)) == 1
    await groups.delete(KEY)
    for _ in range(2):
        with pytest.raises(NotFound):
            await groups.delete(KEY)


async def test_a_group_whose_deletion_failed_can_be_served_and_deleted_anywhere(
    unstored: Groups, groups: Groups, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(store: GroupStore, key: GroupKey) -> None:
        raise Unavailable("the database is away", reason="DATABASE_UNAVAILABLE")

    async with working(unstored) as (group, worker):
        await give_up(group, worker, "boom")
        await unstored.saving.flush()
    with monkeypatch.context() as patched:
        patched.setattr(GroupStore, "delete", away)
        with pytest.raises(Unavailable):
            await unstored.delete(KEY)
    async with working(groups):
        assert len(await groups.dead_letters.listed(KEY, 0, 10)) == 1
    await groups.delete(KEY)


async def test_a_tenants_group_without_workers_is_given_back_with_all_that_it_did(
    unstored: Groups, groups: Groups, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_all = GroupKey(ALL_TENANTS, "learning.things")
    async with working(unstored) as (group, worker), working(unstored, of_all):
        await delivered(group, worker)
        monkeypatch.setattr("autodev_gateway.groups.groups.DESERTED_S", 0.001)
        await unstored._give_back_deserted()
        group.check()
    await asyncio.sleep(0.01)
    await unstored._give_back_deserted()
    assert [runner.key for runner in unstored._runners.all()] == [of_all]
    async with working(groups) as (group, worker):
        assert (await delivered(group, worker)).lease.attempt == 2


async def test_what_is_discarded_is_forgotten_and_what_is_replayed_is_not(groups: Groups, log: EventLog) -> None:
    await log.append([Draft("acme", f"{number:036d}", 20, "ada", "", b"event") for number in range(2, 4)])
    async with working(groups) as (group, worker):
        for _ in range(3):
            await give_up(group, worker, "boom")
        first, second, third = [letter.seq for letter, _ in await groups.dead_letters.listed(KEY, 0, 10)]
        assert await groups.dead_letters.replay(KEY, [second]) == 1
        assert await groups.dead_letters.discard(KEY, [first, second, first + 1_000_000]) == 1
        assert [letter.seq for letter, _ in await groups.dead_letters.listed(KEY, 0, 10)] == [third]
        assert (await delivered(group, worker)).record.seq == second
        assert await groups.dead_letters.discard(KEY, None) == 1
        assert await groups.dead_letters.listed(KEY, 0, 10) == []


async def test_groups_are_listed_with_what_they_have_not_done(groups: Groups, log: EventLog) -> None:
    await log.append([Draft("acme", f"{2:036d}", 20, "ada", "", b"event")])
    async with (
        working(groups) as (group, worker),
        working(groups, GroupKey("acme", "other")) as others,
        working(groups, GroupKey("globex", "theirs")),
        working(groups, GroupKey(ALL_TENANTS, "learning.things")),
    ):
        await give_up(group, worker, "boom")
        await delivered(group, worker)
        first = await delivered(*others)
        others[0].acknowledge(others[1], [first.lease.delivery_id])
        await delivered(*others)
        one, other = await groups.listed("acme", "", 10)
        assert (one.name, one.unsettled, one.dead) == ("group", 1, 1)
        assert (other.name, other.unsettled, other.dead) == ("other", 1, 0)
        assert (other.position, one.position) == (log.head, log.head)
        assert await groups.listed("acme", "group", 10) == [other]


async def test_a_gateway_that_serves_a_group_no_more_tells_nothing_of_how_far_it_is_behind(unstored: Groups) -> None:
    def lag() -> float | None:
        return REGISTRY.get_sample_value("autodev_group_lag_seconds", {"group": "learning.lag"})

    async with working(unstored, GroupKey(ALL_TENANTS, "learning.lag")) as (group, worker):
        await delivered(group, worker)
        await unstored.saving.flush()
        assert lag() is not None
        unstored._moved()
        assert lag() is None


async def test_how_far_a_group_without_workers_is_behind_is_told_after_a_start(
    storage: Storage, database: Database
) -> None:
    await GroupStore(database).create(GroupKey(ALL_TENANTS, "learning.away"), 0, ALL_EVENTS)
    async with started(storage) as gateway, gateway.client() as acme:
        await publish(acme, [failed(1)])

        def lag_s() -> float | None:
            return REGISTRY.get_sample_value("autodev_group_lag_seconds", {"group": "learning.away"})

        await until(lambda: (lag_s() or 0) > 0, "it is told how far the group is behind")


async def test_how_far_a_group_is_behind_is_told_on_when_its_workers_have_left(groups: Groups, log: EventLog) -> None:
    def lag_s() -> float | None:
        return REGISTRY.get_sample_value("autodev_group_lag_seconds", {"group": "learning.left"})

    async with working(groups, GroupKey(ALL_TENANTS, "learning.left")) as (group, worker):
        delivery = await delivered(group, worker)
        group.acknowledge(worker, [delivery.lease.delivery_id])
        await until(lambda: lag_s() == 0, "the group is not behind")
    await groups.saving.flush()
    await log.append([Draft("acme", f"{2:036d}", 20, "ada", "", b"event")])
    await until(lambda: (lag_s() or 0) > 0, "it is told how far the group is behind")


async def test_a_filter_is_not_changed_by_a_gateway_whose_group_another_took(
    database: Database, unstored: Groups, groups: Groups
) -> None:
    async with working(unstored) as (late, _):
        await taken_over(unstored)
        async with working(groups) as (group, _):
            with pytest.raises(Unavailable):
                await unstored.join(KEY, JoinOptions(Filter(agents=frozenset({"bob"})), from_now=False))
            with pytest.raises(Unavailable):
                late.check()
            stored = await GroupStore(database).take_over(KEY)
            assert stored is not None
            assert stored.wanted == group.wanted == ALL_EVENTS


async def test_what_a_group_has_just_taken_is_kept(unstored: Groups, log: EventLog) -> None:
    async with working(unstored) as (group, worker):
        delivery = await delivered(group, worker)
        assert await log.sweep() == 0
        group.reject(worker, delivery.lease.delivery_id, "boom", 0.0)
        assert (await delivered(group, worker)).record == delivery.record


async def test_what_another_gateway_deletes_of_what_a_group_has_taken_is_told(
    database: Database, unstored: Groups, log: EventLog, caplog: pytest.LogCaptureFixture
) -> None:
    before = REGISTRY.get_sample_value("autodev_group_gaps_total") or 0
    async with working(unstored) as (group, worker):
        delivery = await delivered(group, worker)
        await EventStore(database).trim({"acme": log.head})
        group.reject(worker, delivery.lease.delivery_id, "boom", 0.0)
        await until(lambda: group.ledger.unsettled == 0, "the event is given up")
    assert REGISTRY.get_sample_value("autodev_group_gaps_total") == before + 1
    assert "group group: 1 events that it had taken and not settled are gone" in caplog.messages
