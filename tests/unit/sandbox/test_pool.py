"""The pool with sandboxes that are made when the test says so: sizes, order, failures, ends."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from autodev_sandbox.backends import PoolStatus
from autodev_sandbox.execution import BackendUnavailable
from autodev_sandbox.pool import Demand, Pool, Waiting


class Box:
    """A sandbox that is nothing but its state."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.is_alive = True
        self.ended = False
        self.may_end = asyncio.Event()
        self.may_end.set()

    def alive(self) -> bool:
        return self.is_alive

    async def end(self) -> None:
        await self.may_end.wait()
        self.ended = True


class Factory:
    """Makes boxes; fails while told to, waits while told to."""

    def __init__(self) -> None:
        self.boxes: list[Box] = []
        self.failure: Exception | None = None
        self.attempts = 0
        self.may_make = asyncio.Event()
        self.may_make.set()

    async def make(self) -> Box:
        self.attempts += 1
        await self.may_make.wait()
        if self.failure:
            raise self.failure
        self.boxes.append(Box(len(self.boxes)))
        return self.boxes[-1]


@asynccontextmanager
async def pool(factory: Factory, *, floor: int = 0, ceiling: int = 4) -> AsyncIterator[Pool[Box]]:
    opened = Pool(factory.make, floor=floor, ceiling=ceiling)
    opened.open()
    yield opened
    await opened.close()


async def settled(holds: Callable[[], bool]) -> None:
    """Let the tasks run until it holds."""
    for _ in range(1000):
        if holds():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came to hold")


def total(status: PoolStatus) -> int:
    return status.ready + status.starting + status.in_use + status.ending


async def test_the_floor_is_kept_ready() -> None:
    async with pool(Factory(), floor=2) as filled:
        await settled(lambda: filled.status() == PoolStatus(ready=2, floor=2, ceiling=4))
        await filled.take()
        await settled(lambda: filled.status() == PoolStatus(ready=2, in_use=1, floor=2, ceiling=4))


async def test_a_taken_sandbox_is_ended_and_never_given_again() -> None:
    factory = Factory()
    async with pool(factory, floor=1) as filled:
        seen = set()
        for _ in range(10):
            box = await filled.take()
            seen.add(box.number)
            filled.retire(box)
            filled.retire(box)
        assert len(seen) == 10
        await settled(lambda: all(box.ended for box in factory.boxes if box.number in seen))


async def test_all_together_never_pass_the_ceiling() -> None:
    factory = Factory()
    async with pool(factory, floor=2, ceiling=3) as filled:
        taken = [await filled.take() for _ in range(3)]
        waiting = [asyncio.create_task(filled.take()) for _ in range(2)]
        taken[0].may_end.clear()
        filled.retire(taken[0])
        await asyncio.sleep(0)
        assert filled.status() == PoolStatus(in_use=2, ending=1, floor=2, ceiling=3)
        assert total(filled.status()) == 3
        taken[0].may_end.set()
        assert await waiting[0] is factory.boxes[3]
        filled.retire(taken[1])
        assert await waiting[1] is factory.boxes[4]


async def test_those_who_wait_are_served_in_their_order() -> None:
    factory = Factory()
    factory.may_make.clear()
    async with pool(factory, ceiling=3) as filled:
        waiting = [asyncio.create_task(filled.take()) for _ in range(3)]
        await asyncio.sleep(0)
        assert filled.awaited
        factory.may_make.set()
        assert [box.number for box in await asyncio.gather(*waiting)] == [0, 1, 2]
        assert not filled.awaited


async def test_a_dead_one_is_not_given() -> None:
    factory = Factory()
    async with pool(factory, floor=2) as filled:
        await settled(lambda: filled.status().ready == 2)
        factory.boxes[0].is_alive = False
        assert (await filled.take()).number == 1
        await settled(lambda: factory.boxes[0].ended)


async def test_the_dead_and_the_old_are_replaced_while_they_wait() -> None:
    factory = Factory()
    async with pool(factory, floor=3) as filled:
        await settled(lambda: filled.status().ready == 3)
        factory.boxes[0].is_alive = False
        filled._ready[1] = replace(filled._ready[1], since_s=filled._ready[1].since_s - filled.max_age_s - 1)
        filled._tend()
        await settled(lambda: filled.status() == PoolStatus(ready=3, floor=3, ceiling=4))
        assert [box.ended for box in factory.boxes] == [True, True, False, False, False]


async def test_more_than_the_demand_is_let_go_one_at_a_time() -> None:
    factory = Factory()
    async with pool(factory, floor=1) as filled:
        await settled(lambda: filled.status().ready == 1)
        since_s = filled._ready[0].since_s
        filled._ready.extend(Waiting(Box(number), since_s) for number in (1, 2))
        filled._tend()
        assert filled.status().ready == 2
        filled._tend()
        filled._tend()
        assert filled.status().ready == 1


async def test_who_waits_hears_why_nothing_can_be_made() -> None:
    factory = Factory()
    factory.failure = BackendUnavailable("no engine")
    async with pool(factory) as filled:
        with pytest.raises(BackendUnavailable, match="no engine"):
            await filled.take()
        factory.failure = None
        assert (await filled.take()).number == 0


async def test_failing_to_refill_waits_before_the_next_attempt_and_one_who_asks_does_not() -> None:
    factory = Factory()
    factory.failure = BackendUnavailable("no engine")
    async with pool(factory, floor=1) as filled:
        await settled(lambda: factory.attempts == 1)
        for _ in range(10):
            filled._tend()
            await asyncio.sleep(0)
        assert factory.attempts == 1
        factory.failure = None
        await filled.take()
        await settled(lambda: filled.status() == PoolStatus(ready=1, in_use=1, floor=1, ceiling=4))


async def test_who_stops_waiting_takes_nothing_along() -> None:
    factory = Factory()
    factory.may_make.clear()
    async with pool(factory) as filled:
        early, late = (asyncio.create_task(filled.take()) for _ in range(2))
        await asyncio.sleep(0)
        early.cancel()
        factory.may_make.set()
        with pytest.raises(asyncio.CancelledError):
            await early
        assert (await late).number == 0


async def test_one_given_to_who_just_left_is_offered_again() -> None:
    factory = Factory()
    factory.may_make.clear()
    async with pool(factory) as filled:
        leaving = asyncio.create_task(filled.take())
        await asyncio.sleep(0)
        filled._offer(box := Box(7))
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert await filled.take() is box
        factory.may_make.set()


async def test_closing_ends_all_of_them() -> None:
    factory = Factory()
    async with pool(factory, floor=2) as filled:
        await settled(lambda: filled.status().ready == 2)
        await filled.take()
        factory.may_make.clear()
        await settled(lambda: filled.status().starting == 1)
        waiting = asyncio.create_task(take_all(filled))
        await settled(lambda: filled.status().in_use == 2)
        closing = asyncio.create_task(filled.close())
        await asyncio.sleep(0)
        assert not closing.done()
        factory.may_make.set()
        await closing
        assert total(filled.status()) == 0
        assert all(box.ended for box in factory.boxes)
        await waiting
    with pytest.raises(BackendUnavailable, match="closed"):
        await filled.take()


async def take_all(filled: Pool[Box]) -> None:
    with contextlib.suppress(BackendUnavailable):
        while True:
            await filled.take()


def test_the_demand_is_what_is_taken_while_one_is_made() -> None:
    demand = Demand()
    demand.note_made(0.2)
    for taking in range(2000):
        demand.note_taken(taking / 100)
    # A hundred a second, a fifth of a second each: 20, and two standard deviations.
    assert 26 <= demand.wanted(20.0) <= 30
    assert demand.wanted(60.0) == 0


def test_the_time_to_make_is_an_average() -> None:
    demand = Demand()
    demand.note_made(1.0)
    for _ in range(50):
        demand.note_made(2.0)
    assert demand.making_s == pytest.approx(2.0, rel=0.01)


def test_a_single_taking_asks_for_nothing_more() -> None:
    demand = Demand()
    demand.note_made(0.1)
    demand.note_taken(0.0)
    assert demand.wanted(0.0) == 0
