"""A shutdown waits for what must not be broken off."""

import asyncio

import pytest

from autodev_gateway.shutdown import to_the_end
from autodev_sdk.ending import Patience, ended


async def test_work_that_is_under_way_is_finished_before_the_cancellation_goes_on() -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()
    done: list[str] = []

    async def work() -> None:
        begun.set()
        await go_on.wait()
        done.append("done")

    task = asyncio.create_task(to_the_end(work()))
    await begun.wait()
    task.cancel()
    asyncio.get_running_loop().call_soon(go_on.set)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done == ["done"]


async def test_work_that_does_not_end_is_given_up_with_the_patience_that_it_shares() -> None:
    patience = Patience(0.2)
    given_up: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            given_up.append("given up")

    tasks = [asyncio.create_task(to_the_end(work(), patience)) for _ in range(2)]
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await ended(*tasks)
    assert patience.left_s() == 0
    await asyncio.sleep(0)
    assert given_up == ["given up"] * 2


async def test_the_answer_and_the_error_are_the_works() -> None:
    async def answer(number: int) -> float:
        return 1 / number

    assert await to_the_end(answer(1)) == 1
    with pytest.raises(ZeroDivisionError):
        await to_the_end(answer(0))
