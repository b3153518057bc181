"""Ending tasks: none is left, whatever becomes of a cancellation."""

import asyncio
import contextlib

import pytest

from autodev_sdk import ending
from autodev_sdk.ending import ended


async def losing(cancellations: int) -> None:
    for _ in range(cancellations):
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
    await asyncio.Event().wait()


async def test_a_task_that_loses_cancellations_is_ended_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ending, "AGAIN_S", 0.01)
    tasks = [asyncio.ensure_future(losing(lost)) for lost in (0, 1, 3)]
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await ended(*tasks)
    assert all(task.cancelled() for task in tasks)


async def test_an_answer_that_comes_with_the_cancellation_keeps_no_task_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    """As libraries wait, which in some versions of Python lose the cancellation."""
    monkeypatch.setattr(ending, "AGAIN_S", 0.01)
    answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def asking() -> None:
        await asyncio.wait_for(answer, 60)
        await asyncio.Event().wait()

    task = asyncio.ensure_future(asking())
    await asyncio.sleep(0.01)
    answer.set_result(None)
    async with asyncio.timeout(5):
        await ended(task)
    assert task.cancelled()


async def test_what_a_task_ends_by_is_not_raised_and_its_clean_up_is_waited_for() -> None:
    cleaned = False

    async def cleaning() -> None:
        nonlocal cleaned
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            cleaned = True

    async def failing() -> None:
        raise ValueError("its own")

    tasks = [asyncio.ensure_future(cleaning()), asyncio.ensure_future(failing())]
    await asyncio.sleep(0)
    await ended(*tasks)
    await ended()
    assert cleaned
