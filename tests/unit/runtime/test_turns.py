"""Slots are given in turns, whatever comes in whatever order."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autodev_runtime.turns import Place, QueueFull, Turns

TENANTS = ("a", "b", "c", "d")
SETTLING_STEPS = 8


@dataclass
class Caller:
    """One execution: waits for its turn, then holds it until it is told to end."""

    turns: Turns
    tenant: str
    place: Place = Place.LAST
    runs: bool = False
    refused: QueueFull | None = None
    end: asyncio.Event = field(default_factory=asyncio.Event)

    def start(self) -> "Caller":
        self.task = asyncio.create_task(self._hold())
        return self

    @property
    def waits(self) -> bool:
        return not self.task.done() and not self.runs

    async def _hold(self) -> None:
        try:
            async with self.turns.turn(self.tenant, self.place):
                self.runs = True
                try:
                    await self.end.wait()
                finally:
                    self.runs = False
        except QueueFull as error:
            self.refused = error


async def settle() -> None:
    """Let every task go as far as it can."""
    for _ in range(SETTLING_STEPS):
        await asyncio.sleep(0)


async def arrived(turns: Turns, *tenants: str, place: Place = Place.LAST) -> list[Caller]:
    callers = []
    for tenant in tenants:
        callers.append(Caller(turns, tenant, place).start())
        await settle()
    return callers


async def ended(*callers: Caller) -> None:
    for caller in callers:
        caller.end.set()
        await settle()


def running(callers: Sequence[Caller]) -> Counter[str]:
    return Counter(caller.tenant for caller in callers if caller.runs)


ARRIVALS = st.tuples(st.just("arrive"), st.sampled_from(TENANTS), st.sampled_from(Place))
OTHERS = st.tuples(st.sampled_from(["end", "cancel", "cancel as it is served"]), st.integers(0, 30), st.none())


@given(
    slots=st.integers(1, 3),
    spare=st.integers(0, 2),
    most=st.integers(0, 5),
    steps=st.lists(ARRIVALS | OTHERS, max_size=40),
)
def test_whatever_happens_the_bounds_hold_and_nothing_is_left(
    slots: int, spare: int, most: int, steps: list[tuple[str, str | int, Place | None]]
) -> None:
    asyncio.run(_whatever_happens(slots, spare, most, steps))


async def _whatever_happens(
    slots: int, spare: int, most: int, steps: list[tuple[str, str | int, Place | None]]
) -> None:
    turns = Turns(slots, spare, most)
    callers: list[Caller] = []
    for what, whom, place in steps:
        if isinstance(whom, str):
            callers.append(Caller(turns, whom, place or Place.LAST).start())
        elif active := [caller for caller in callers if not caller.task.done()]:
            caller = active[whom % len(active)]
            if what == "end":
                caller.end.set()
            else:
                if what == "cancel as it is served":
                    for each in callers:
                        each.end.set()
                caller.task.cancel()
        await settle()
        _check(turns, callers, slots, spare, most)
    for caller in callers:
        caller.task.cancel()
    await asyncio.gather(*(caller.task for caller in callers), return_exceptions=True)
    assert (turns.running, turns.waiting) == (0, 0)
    async with asyncio.timeout(1), turns.turn("a"):
        assert turns.running == 1


def _check(turns: Turns, callers: list[Caller], slots: int, spare: int, most: int) -> None:
    held = running(callers)
    waiting = [caller for caller in callers if caller.waits]
    assert (turns.running, turns.waiting) == (held.total(), len(waiting))
    assert held.total() <= slots + spare
    assert all(count <= slots for count in held.values())
    assert sum(caller.place is Place.LAST for caller in waiting) <= most
    assert not any(caller.refused for caller in callers if caller.place is Place.KEPT)
    if waiting:
        assert held.total() >= slots
    if held.total() < slots + spare:
        assert all(held[caller.tenant] for caller in waiting)


@given(slots=st.integers(1, 3), spare=st.integers(0, 1), flood=st.lists(st.sampled_from("abc"), max_size=40))
def test_a_tenant_with_nothing_running_waits_for_one_turn_of_each_other_tenant(
    slots: int, spare: int, flood: list[str]
) -> None:
    asyncio.run(_one_turn_of_each(slots, spare, flood))


async def _one_turn_of_each(slots: int, spare: int, flood: list[str]) -> None:
    turns = Turns(slots, spare, len(flood))
    callers = await arrived(turns, *flood)
    (late,) = await arrived(turns, "late")
    served_before_it: Counter[str] = Counter()
    while late.waits:
        waiting = [caller for caller in callers if caller.waits]
        await ended(next(caller for caller in callers if caller.runs))
        served_before_it.update(caller.tenant for caller in waiting if not caller.waits)
    assert late.refused is None
    assert all(count <= 1 for count in served_before_it.values())
    await ended(*callers, late)


@given(flood=st.integers(1, 30), most=st.integers(2, 10), others=st.integers(1, 5))
def test_a_flood_turns_nobody_else_away(flood: int, most: int, others: int) -> None:
    asyncio.run(_flood(flood, most, min(others, most // 2)))


async def _flood(flood: int, most: int, others: int) -> None:
    turns = Turns(slots=1, spare=0, max_waiting=most)
    flooding = await arrived(turns, *["flood"] * flood)
    modest = await arrived(turns, *["modest"] * others)
    assert not any(caller.refused for caller in modest)
    assert turns.waiting == min(most, flood - 1 + others)
    # The newest made room.
    refused = [caller.refused is not None for caller in flooding]
    assert refused == sorted(refused)
    await ended(*flooding, *modest)


async def test_the_longest_queues_newest_makes_room_and_is_told_when_to_come_again() -> None:
    turns = Turns(slots=1, spare=0, max_waiting=3)
    first, second, third, newest = await arrived(turns, "a", "a", "a", "a")
    (other,) = await arrived(turns, "b")
    assert [each.waits for each in (second, third, newest, other)] == [True, True, False, True]
    assert newest.refused
    assert newest.refused.retry_after
    assert 0 < newest.refused.retry_after.total_seconds() <= 30
    await ended(first, second, third, other)


async def test_who_has_the_longest_queue_is_turned_away_itself() -> None:
    turns = Turns(slots=1, spare=0, max_waiting=2)
    callers = await arrived(turns, "a", "a", "b", "a")
    assert [caller.refused is not None for caller in callers] == [False, False, False, True]
    await ended(*callers)


async def test_the_spare_slot_is_for_a_tenant_that_has_nothing_running() -> None:
    turns = Turns(slots=2, spare=1, max_waiting=10)
    long_ones = await arrived(turns, "a", "a", "a")
    assert running(long_ones) == {"a": 2}
    others = await arrived(turns, "b", "b", "c")
    assert [caller.runs for caller in others] == [True, False, False]
    await ended(others[0])
    # The turn is b's again, but c waited behind it and has it next.
    assert [caller.runs for caller in others[1:]] == [True, False]
    await ended(others[1])
    assert others[2].runs
    await ended(*long_ones, *others)


async def test_who_goes_on_is_served_before_the_rest_of_its_tenant_but_not_before_other_tenants() -> None:
    turns = Turns(slots=1, spare=0, max_waiting=1)
    (first,) = await arrived(turns, "a")
    (waiting,) = await arrived(turns, "b")
    (again,) = await arrived(turns, "a", place=Place.KEPT)
    await ended(first)
    assert (waiting.runs, again.waits) == (True, True)
    await ended(waiting)
    assert again.runs
    await ended(again)


@pytest.mark.parametrize("seconds", [0.0, 1000.0])
async def test_the_time_to_come_again_is_bounded(seconds: float) -> None:
    turns = Turns(slots=1, spare=0, max_waiting=0)
    turns._mean_s = seconds
    callers = await arrived(turns, "a", "b")
    assert callers[1].refused
    assert callers[1].refused.retry_after
    assert 0.05 <= callers[1].refused.retry_after.total_seconds() <= 30
    await ended(*callers)
