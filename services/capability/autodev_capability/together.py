"""What is asked while a transaction runs is done together in the next: a commit costs the same for one as for many."""

import asyncio
import contextvars
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from autodev_runtime.errors import Unavailable

log = logging.getLogger(__name__)

BUSY, APART_S = 4, 0.006
"""Where at least so many ask at about the same time, batches begin so far apart: many small ones are twice the work."""

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


class _Asked(Generic[Asked, Answer]):
    """What is waited for."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.done: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    def answer(self, answer: Answer | Exception) -> None:
        if self.done.done():
            return
        if isinstance(answer, Exception):
            self.done.set_exception(answer)
        else:
            self.done.set_result(answer)


class Together(Generic[Asked, Answer]):
    """Does work in lanes: one batch at a time in each, of everything that waits there, in its order.

    How much may wait is bounded by how many calls a server takes.
    """

    def __init__(
        self, work: Callable[[str, Sequence[Asked]], Awaitable[Sequence[Answer | Exception]]], most: int
    ) -> None:
        """`work` does a lane's batch of at most so many, and answers each."""
        self._work = work
        self._most = most
        self._lanes: dict[str, deque[_Asked[Asked, Answer]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def ask(self, lane: str, asked: Asked) -> Answer:
        """The answer. One who is cancelled while waiting asked for nothing, unless it was being done already."""
        each: _Asked[Asked, Answer] = _Asked(asked)
        if (waiting := self._lanes.get(lane)) is not None:
            waiting.append(each)
            return await each.done
        self._lanes[lane] = deque([each])
        # Not in the first one's context: its tenant and trace are not those of who comes after.
        task = asyncio.get_running_loop().create_task(self._serve(lane), context=contextvars.Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await each.done

    async def _serve(self, lane: str) -> None:
        waiting = self._lanes[lane]
        try:
            while waiting:
                began_s = time.monotonic()
                batch = [waiting.popleft() for _ in range(min(len(waiting), self._most))]
                await self._do(lane, [each for each in batch if not each.done.done()])
                if 0 < len(waiting) < self._most and len(batch) + len(waiting) >= BUSY:
                    await asyncio.sleep(began_s + APART_S - time.monotonic())
        finally:
            del self._lanes[lane]
            for each in waiting:
                each.done.cancel()

    async def _do(self, lane: str, batch: Sequence[_Asked[Asked, Answer]]) -> None:
        if not batch:
            return
        try:
            answers = await self._work(lane, [each.asked for each in batch])
        except Exception as error:
            if len(batch) > 1 and not isinstance(error, Unavailable):
                # One of them is at fault, and the others are not to suffer by it.
                log.warning("%d that were asked together are done one by one: %r", len(batch), error)
                for each in batch:
                    await self._do(lane, [each])
                return
            answers = [error] * len(batch)
        except BaseException:
            for each in batch:
                each.done.cancel()
            raise
        for each, answer in zip(batch, answers, strict=True):
            each.answer(answer)
