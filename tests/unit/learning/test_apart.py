"""Work in another thread's event loop."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from autodev_learning.apart import apart, from_afar
from autodev_runtime.identity import acting_as, current_tenant, service_identity
from tests.mesh import eventually


async def test_the_service_goes_on_while_work_computes() -> None:
    async def work() -> str:
        return str(sum(number % 7 for number in range(3_000_000)))

    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    counting = asyncio.ensure_future(count())
    assert await apart(work) == "8999994"
    counting.cancel()
    assert turns > 10


async def test_a_call_from_afar_runs_at_home_for_the_same_tenant() -> None:
    async def where(suffix: str) -> tuple[int, str]:
        return threading.get_ident(), current_tenant() + suffix

    with acting_as(service_identity("learning", "acme")):
        afar = from_afar(where)

        async def work() -> tuple[int, str]:
            return await afar("!")

        assert await apart(work) == (threading.get_ident(), "acme!")


async def test_an_error_comes_through() -> None:
    async def work() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await apart(work)


async def test_cancelling_the_wait_ends_the_work() -> None:
    started, ended = threading.Event(), threading.Event()

    async def work() -> None:
        try:
            started.set()
            await asyncio.Event().wait()
        finally:
            ended.set()

    waiting = asyncio.ensure_future(apart(work))
    await asyncio.to_thread(started.wait, 10)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ended.is_set()


async def test_work_that_does_not_end_is_left_and_keeps_no_process_from_ending() -> None:
    started, may_end = threading.Event(), threading.Event()
    left: list[threading.Thread] = []

    async def work() -> None:
        started.set()
        may_end.wait(60)

    waiting = asyncio.ensure_future(apart(work, 0.1, left.append))
    await asyncio.to_thread(started.wait, 10)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    (thread,) = left
    assert thread.is_alive()
    assert thread.daemon
    may_end.set()
    thread.join(10)
    assert not thread.is_alive()


async def test_work_apart_leaves_the_threads_of_others_alone() -> None:
    """What is signed or unpacked meanwhile runs in the default executor."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    started, may_end = threading.Event(), threading.Event()

    async def work() -> bool:
        started.set()
        return may_end.wait(60)

    async def has_started() -> bool:
        return started.is_set()

    waiting = asyncio.ensure_future(apart(work))
    await eventually(has_started, "the work began", 10)
    async with asyncio.timeout(10):
        await asyncio.to_thread(may_end.set)
    assert await waiting
