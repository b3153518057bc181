"""Work that computes for long, in a thread with an event loop of its own, so that the service goes on answering."""

import asyncio
import concurrent.futures
import contextlib
import contextvars
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Generic, ParamSpec, TypeVar

Answer = TypeVar("Answer")
Arguments = ParamSpec("Arguments")

GRACE_S = 5.0
"""How long work that is cancelled is waited for: built-in proposers come to their next step long before."""


class _Thread(Generic[Answer]):
    """One thread for one piece of work. It keeps nobody's thread, and no process that ends, waiting."""

    def __init__(self, work: Callable[[], Coroutine[Any, Any, Answer]]) -> None:
        self._work = work
        self._started: concurrent.futures.Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]] = (
            concurrent.futures.Future()
        )
        self._answer: concurrent.futures.Future[Answer] = concurrent.futures.Future()
        # Who waits for either may give up: that changes nothing here.
        self._started.set_running_or_notify_cancel()
        self._answer.set_running_or_notify_cancel()
        self.thread = threading.Thread(
            target=contextvars.copy_context().run, args=(self._run,), name="apart", daemon=True
        )

    def start(self) -> "asyncio.Future[Answer]":
        self.thread.start()
        return asyncio.wrap_future(self._answer)

    def _run(self) -> None:
        try:
            answer = asyncio.run(self._announced())
        except BaseException as error:
            self._answer.set_exception(error)
        else:
            self._answer.set_result(answer)

    async def _announced(self) -> Answer:
        task = asyncio.current_task()
        assert task is not None
        self._started.set_result((asyncio.get_running_loop(), task))
        return await self._work()

    async def cancel(self) -> None:
        """Have the work end at its next step."""
        loop, task = await asyncio.wrap_future(self._started)
        # A loop that is closed has nothing left to cancel.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(task.cancel)


def _ignored(thread: threading.Thread) -> None:
    """A thread that was left, and of which nobody keeps count."""


async def apart(
    work: Callable[[], Coroutine[Any, Any, Answer]],
    grace_s: float = GRACE_S,
    left: Callable[[threading.Thread], None] = _ignored,
) -> Answer:
    """Run a coroutine in another thread's event loop. Cancelling the wait cancels the work at its next step.

    Work that comes to no next step in `grace_s` is left to itself, since nothing ends a thread from outside: `left` is
    told. What the coroutine awaits of this loop must go through `from_afar`.
    """
    thread = _Thread(work)
    answer = thread.start()
    try:
        return await asyncio.shield(answer)
    except asyncio.CancelledError:
        await thread.cancel()
        ended, _ = await asyncio.wait([answer], timeout=grace_s)
        for each in ended:
            # Nobody else looks at how it ended, which asyncio would complain of.
            each.exception()
        raise
    finally:
        if not answer.done():
            # Its answer, if it ever comes, is nobody's, and this loop may be closed by then.
            answer.cancel()
            left(thread.thread)


def from_afar(call: Callable[Arguments, Awaitable[Answer]]) -> Callable[Arguments, Awaitable[Answer]]:
    """The same call, for use in another loop: it runs in the loop that is current now."""
    home = asyncio.get_running_loop()

    async def run(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Answer:
        async def at_home() -> Answer:
            return await call(*args, **kwargs)

        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(at_home(), home))

    return run
