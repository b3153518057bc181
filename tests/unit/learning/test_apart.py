"""Work in another thread's event loop."""

import asyncio
import threading

import pytest

from autodev_learning.apart import apart, from_afar
from autodev_runtime.identity import acting_as, current_tenant, service_identity


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
