"""Work that several ask for at once is done once."""

import asyncio

import pytest

from autodev_learning.joining import Joined


async def test_who_asks_meanwhile_gets_the_same_answer() -> None:
    joined: Joined[object] = Joined()
    go, calls = asyncio.Event(), []

    async def work() -> object:
        calls.append(1)
        await go.wait()
        return object()

    first, second = asyncio.ensure_future(joined.once("a", work)), asyncio.ensure_future(joined.once("a", work))
    other = asyncio.ensure_future(joined.once("b", work))
    await asyncio.sleep(0)
    go.set()
    assert await first is await second is not await other
    assert len(calls) == 2


async def test_it_goes_on_when_a_caller_gives_up() -> None:
    joined: Joined[int] = Joined()
    started, go, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work() -> int:
        started.set()
        await go.wait()
        done.set()
        return 1

    caller = asyncio.ensure_future(joined.once("a", work))
    await started.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    go.set()
    async with asyncio.timeout(5):
        await done.wait()


async def test_an_error_is_everyones_and_is_forgotten() -> None:
    joined: Joined[int] = Joined()

    async def fail() -> int:
        raise ValueError("no")

    async def succeed() -> int:
        return 2

    answers = await asyncio.gather(joined.once("a", fail), joined.once("a", fail), return_exceptions=True)
    assert [type(answer) for answer in answers] == [ValueError, ValueError]
    assert await joined.once("a", succeed) == 2
