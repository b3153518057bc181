import asyncio

import pytest

from autodev_sandbox.feed import Feed, fed_by


async def test_what_is_there_is_taken_together_up_to_a_size() -> None:
    feed: Feed[str] = Feed(max_bytes=100)
    for item in ("a", "b", "c"):
        feed.put(item, 10)
    feed.put("large", 1000)
    feed.end()
    assert [await feed.take(25) for _ in range(4)] == [["a", "b"], ["c"], ["large"], []]


async def test_the_maker_waits_until_its_items_are_taken() -> None:
    made: list[int] = []

    async def make(feed: Feed[int]) -> None:
        for number in range(100):
            made.append(number)
            feed.put(number, 10)
            await feed.room()

    taken: list[int] = []
    async with fed_by(make, max_bytes=30) as feed:
        while items := await feed.take(10):
            taken += items
            assert len(made) - len(taken) <= 4
    assert taken == list(range(100))


async def test_what_was_made_is_taken_before_the_makers_error_is_raised() -> None:
    async def make(feed: Feed[int]) -> None:
        feed.put(1, 1)
        raise ValueError("no more")

    taken: list[int] = []

    async def take_all() -> None:
        async with fed_by(make, max_bytes=1) as feed:
            while items := await feed.take(10):
                taken.extend(items)

    with pytest.raises(ValueError, match="no more"):
        await take_all()
    assert taken == [1]


async def test_a_taker_that_leaves_ends_the_maker() -> None:
    ended = asyncio.Event()

    async def make(feed: Feed[int]) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def leave() -> None:
        async with fed_by(make, max_bytes=1) as feed:
            await feed.take(1)

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(leave(), 0.05)
    assert ended.is_set()
