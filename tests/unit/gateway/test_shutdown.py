"""A shutdown waits for what must not be broken off."""

import asyncio

import pytest

from autodev_gateway.shutdown import to_the_end


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


async def test_the_answer_and_the_error_are_the_works() -> None:
    async def answer(number: int) -> float:
        return 1 / number

    assert await to_the_end(answer(1)) == 1
    with pytest.raises(ZeroDivisionError):
        await to_the_end(answer(0))
