"""Answers that are kept for a moment."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import pytest

from autodev_capability.gates import Decision, next_day
from autodev_capability.snapshots import FEWEST_LOOKED_AT, Answer, Snapshots
from autodev_runtime.errors import Unavailable
from tests.clock import Clock

KEY = ("ada", "auto_dev.memento_skills")


class Source:
    """What is read: how often, and what it answers."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.reads = 0
        self.used = 0
        self.true_until: datetime | None = None
        self.started = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    async def read(self) -> Answer:
        self.reads += 1
        self.started.set()
        used = self.used
        await self.gate.wait()
        return Answer(Decision(None, "", used=used), self.clock(), self.true_until or next_day(self.clock()))


def snapshots_of(clock: Clock) -> Snapshots:
    return Snapshots(timedelta(seconds=1), clock)


async def test_an_answer_is_read_once_until_it_is_a_second_old() -> None:
    clock = Clock()
    source, snapshots = Source(clock), snapshots_of(clock)
    for _ in range(3):
        await snapshots.get("acme", KEY, source.read)
    assert source.reads == 1
    clock.advance(seconds=0.999)
    await snapshots.get("acme", KEY, source.read)
    assert source.reads == 1
    clock.advance(seconds=0.001)
    await snapshots.get("acme", KEY, source.read)
    assert source.reads == 2


async def test_an_answer_ends_when_it_ends_to_be_true() -> None:
    clock = Clock()
    source, snapshots = Source(clock), snapshots_of(clock)
    source.true_until = clock() + timedelta(seconds=0.3)
    await snapshots.get("acme", KEY, source.read)
    clock.advance(seconds=0.3)
    await snapshots.get("acme", KEY, source.read)
    assert source.reads == 2


async def test_a_clock_that_is_set_back_makes_nothing_last() -> None:
    clock = Clock()
    source, snapshots = Source(clock), snapshots_of(clock)
    await snapshots.get("acme", KEY, source.read)
    clock.advance(hours=-1)
    await snapshots.get("acme", KEY, source.read)
    assert source.reads == 2


async def test_a_change_ends_the_answers_of_its_tenant_only() -> None:
    clock = Clock()
    source, other, snapshots = Source(clock), Source(clock), snapshots_of(clock)
    await snapshots.get("acme", KEY, source.read)
    await snapshots.get("globex", KEY, other.read)
    source.used = 1
    snapshots.drop("acme")
    assert (await snapshots.get("acme", KEY, source.read)).used == 1
    await snapshots.get("globex", KEY, other.read)
    assert (source.reads, other.reads) == (2, 1)


async def test_a_reader_that_a_change_overtakes_leaves_nothing_stale_behind() -> None:
    clock = Clock()
    source, snapshots = Source(clock), snapshots_of(clock)
    source.gate.clear()
    overtaken = asyncio.ensure_future(snapshots.get("acme", KEY, source.read))
    await source.started.wait()
    source.used = 1
    snapshots.drop("acme")
    source.gate.set()
    assert (await overtaken).used == 0
    assert (await snapshots.get("acme", KEY, source.read)).used == 1


async def test_many_askers_share_one_read_and_one_that_gives_up_spoils_it_for_nobody() -> None:
    clock = Clock()
    source, snapshots = Source(clock), snapshots_of(clock)
    source.gate.clear()
    askers = [asyncio.ensure_future(snapshots.get("acme", KEY, source.read)) for _ in range(50)]
    await source.started.wait()
    askers[0].cancel()
    await asyncio.gather(askers[0], return_exceptions=True)
    source.gate.set()
    answers = await asyncio.gather(*askers[1:])
    assert source.reads == 1
    assert len({id(answer) for answer in answers}) == 1


async def test_a_read_that_failed_is_tried_again() -> None:
    clock = Clock()
    source, snapshots = Source(clock), snapshots_of(clock)

    async def fail() -> Answer:
        raise Unavailable("away")

    with pytest.raises(Unavailable):
        await snapshots.get("acme", KEY, fail)
    assert (await snapshots.get("acme", KEY, source.read)).allowed


async def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autodev_capability.snapshots.MOST_ANSWERS", 10)
    clock = Clock()
    snapshots = snapshots_of(clock)
    first = Source(clock)
    await snapshots.get("acme", ("agent-0", "x"), first.read)
    reads: list[Callable[[], Awaitable[Answer]]] = [Source(clock).read for _ in range(10)]
    for index, read in enumerate(reads):
        await snapshots.get(f"tenant-{index}", KEY, read)
    await snapshots.get("acme", ("agent-0", "x"), first.read)
    assert first.reads == 2


async def test_what_holds_no_more_is_forgotten_though_nobody_asks_for_it_again() -> None:
    clock = Clock()
    source, snapshots = Source(clock), snapshots_of(clock)
    for second in range(5):
        for number in range(FEWEST_LOOKED_AT):
            await snapshots.get(f"tenant-{number % 3}", (f"agent-{second}-{number}", "x"), source.read)
        clock.advance(seconds=1)
    assert len(snapshots) <= 2 * FEWEST_LOOKED_AT
    reads = source.reads
    await snapshots.get("acme", KEY, source.read)
    await snapshots.get("acme", KEY, source.read)
    assert source.reads == reads + 1


async def test_what_still_holds_is_not_forgotten_for_others() -> None:
    clock = Clock()
    source, other, snapshots = Source(clock), Source(clock), snapshots_of(clock)
    await snapshots.get("acme", KEY, source.read)
    for number in range(3 * FEWEST_LOOKED_AT):
        await snapshots.get("acme", (f"agent-{number}", "x"), other.read)
    await snapshots.get("acme", KEY, source.read)
    assert source.reads == 1
