"""Ending tasks: none is left, whatever becomes of a cancellation."""

import asyncio
import contextlib

import pytest

from autodev_sdk import ending
from autodev_sdk.ending import Patience, ended, results_of, until_one_fails


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


async def test_whoever_is_cancelled_while_it_waits_cancels_again_and_still_leaves_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ending, "AGAIN_S", 3600)
    losing_one = asyncio.ensure_future(losing(1))
    await asyncio.sleep(0)
    waiting = asyncio.ensure_future(ended(losing_one))
    await asyncio.sleep(0.01)
    assert not losing_one.done()
    waiting.cancel()
    async with asyncio.timeout(5):
        await asyncio.wait([waiting])
    assert losing_one.cancelled()
    assert waiting.cancelled()


async def test_a_task_that_nothing_ends_is_left_and_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ending, "AGAIN_S", 0.01)
    monkeypatch.setattr(ending, "LONGEST_S", 0.05)
    over = False

    async def deaf() -> None:
        while not over:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(3600)

    task = asyncio.ensure_future(deaf())
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await ended(task)
    assert not task.done()
    assert "deaf" in caplog.text
    over = True
    await ended(task)


async def test_of_works_beside_each_other_a_failure_ends_the_others_and_is_raised() -> None:
    ends: list[str] = []

    async def going_on() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ends.append("ended")

    async def failing() -> None:
        await asyncio.sleep(0)
        raise ValueError("its own")

    async def nothing_to_do() -> None:
        pass

    with pytest.raises(ValueError, match="its own"):
        await until_one_fails(going_on(), failing(), nothing_to_do())
    assert ends == ["ended"]
    await until_one_fails(nothing_to_do(), nothing_to_do())


async def test_results_come_in_the_order_of_the_works() -> None:
    first = asyncio.Event()

    async def giving(result: int, *, waits: bool) -> int:
        if waits:
            await first.wait()
        first.set()
        return result

    assert await results_of(giving(1, waits=True), giving(2, waits=False)) == [1, 2]
    assert await results_of() == []


async def test_a_failure_is_known_only_once_the_other_works_are_over() -> None:
    over = False

    async def cleaning() -> int:
        nonlocal over
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            over = True
        return 1

    async def failing() -> int:
        await asyncio.sleep(0)
        raise ValueError("its own")

    with pytest.raises(ValueError, match="its own"):
        await results_of(cleaning(), failing())
    assert over


async def test_works_beside_each_other_end_with_their_caller_though_one_loses_its_cancellation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ending, "AGAIN_S", 0.01)
    both = asyncio.ensure_future(until_one_fails(losing(0), losing(2)))
    await asyncio.sleep(0.01)
    async with asyncio.timeout(5):
        await ended(both)
    assert both.cancelled()


async def test_of_patience_who_comes_late_has_what_is_left() -> None:
    patience = Patience(1.0)
    assert patience.left_s(3.0) == 3.0
    patience.begin()
    assert patience.left_s(0.1) == 0.1
    first = patience.left_s()
    assert first <= 1.0
    await asyncio.sleep(0.05)
    patience.begin()
    assert patience.left_s(3.0) <= first - 0.05
    spent = Patience(0.0)
    spent.begin()
    assert spent.left_s(2.0) == 0.0
