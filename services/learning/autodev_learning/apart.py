"""Work that computes for long, in a thread with an event loop of its own, so that the service goes on answering."""

import asyncio
import concurrent.futures
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

Answer = TypeVar("Answer")
Arguments = ParamSpec("Arguments")


async def apart(work: Callable[[], Coroutine[Any, Any, Answer]]) -> Answer:
    """Run a coroutine in another thread's event loop. Cancelling the wait cancels the work at its next step.

    What the coroutine awaits of this loop must go through `from_afar`.
    """
    started: concurrent.futures.Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]] = (
        concurrent.futures.Future()
    )

    async def announced() -> Answer:
        task = asyncio.current_task()
        assert task is not None
        started.set_result((asyncio.get_running_loop(), task))
        return await work()

    thread = asyncio.ensure_future(asyncio.to_thread(asyncio.run, announced()))
    try:
        return await asyncio.shield(thread)
    except asyncio.CancelledError:
        loop, task = await asyncio.wrap_future(started)
        # A loop that is closed has nothing left to cancel.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(task.cancel)
        await asyncio.wait([thread])
        raise


def from_afar(call: Callable[Arguments, Awaitable[Answer]]) -> Callable[Arguments, Awaitable[Answer]]:
    """The same call, for use in another loop: it runs in the loop that is current now."""
    home = asyncio.get_running_loop()

    async def run(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Answer:
        async def at_home() -> Answer:
            return await call(*args, **kwargs)

        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(at_home(), home))

    return run
