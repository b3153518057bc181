"""Ending tasks."""

import asyncio
import logging
import math
from collections.abc import Awaitable
from typing import Any, TypeVar

Result = TypeVar("Result")

log = logging.getLogger(__name__)

AGAIN_S = 10.0
"""Longer than tasks take to clean up after themselves, which must not be broken off."""
LONGEST_S = 30.0
"""What goes on after so long does not end: whoever waits for it would never end either."""


class Patience:
    """How long parts that end one after the other may take in all: who comes late has what the others left."""

    def __init__(self, total_s: float) -> None:
        self._total_s = total_s
        self._until: float | None = None

    def begin(self) -> None:
        """It runs from now on, unless it does already."""
        if self._until is None:
            self._until = asyncio.get_running_loop().time() + self._total_s

    def left_s(self, most_s: float = math.inf) -> float:
        """How long a part may take that by itself has `most_s`: all of it while nothing ends."""
        if self._until is None:
            return most_s
        return max(0.0, min(most_s, self._until - asyncio.get_running_loop().time()))


async def ended(*tasks: "asyncio.Future[Any]") -> None:
    """Cancel tasks and wait until none is left, whatever they end by.

    Those that go on for long are cancelled again: before Python 3.12 `asyncio.wait_for`, by which libraries wait, can
    take an answer that comes with a cancellation for all there is (python/cpython#86296). So are all when the caller is
    cancelled meanwhile; it goes on being cancelled once they are over. One that no cancellation ends is left after half
    a minute, and the log says where it waits.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + LONGEST_S
    left = set(tasks)
    cancelled: asyncio.CancelledError | None = None
    while left and loop.time() < deadline:
        for task in left:
            task.cancel()
        try:
            _, left = await asyncio.wait(left, timeout=AGAIN_S)
        except asyncio.CancelledError as error:
            cancelled = error
            left = {task for task in left if not task.done()}
    for task in tasks:
        if task in left:
            log.error("does not end, and is left: %r", task)
        elif not task.cancelled():
            # What it failed by is its own, and no longer of interest.
            task.exception()
    if cancelled is not None:
        raise cancelled


async def results_of(*works: Awaitable[Result]) -> list[Result]:
    """Do works beside each other and give their results, in the order of the works.

    When one fails, or the caller is cancelled, the others are ended first. `asyncio.gather` would leave them at work,
    and an `asyncio.TaskGroup` cancels its tasks once, however often it is cancelled itself: it would wait for ever with
    one that lost its cancellation. Raises what the one failed by.
    """
    if not works:
        return []
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        # All are done, or one that is raises what it failed by.
        return [task.result() for task in tasks if task in done]
    finally:
        await ended(*tasks)


async def until_one_fails(*works: Awaitable[None]) -> None:
    """The same for works that go on until they fail or the caller is cancelled, and have no results."""
    await results_of(*works)
