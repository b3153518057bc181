"""What one task makes and another sends: as much at a time as is there, and no more than fits."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

from autodev_sdk.ending import ended

T = TypeVar("T")


class Feed(Generic[T]):
    """Items on their way, each with its size. Its maker waits while more than `max_bytes` are there."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._items: deque[tuple[T, int]] = deque()
        self._bytes = 0
        self._moved = asyncio.Event()
        self._ended = False

    def put(self, item: T, size: int) -> None:
        """Add an item, whatever room there is."""
        self._items.append((item, size))
        self._bytes += size
        self._moved.set()

    async def room(self) -> None:
        """Wait until the next item fits."""
        while self._bytes > self._max_bytes:
            self._moved.clear()
            await self._moved.wait()

    async def take(self, max_bytes: int) -> list[T]:
        """The items that are there, of about that size together; waits for one. None: there will be no more."""
        while not self._items and not self._ended:
            self._moved.clear()
            await self._moved.wait()
        taken: list[T] = []
        taken_bytes = 0
        while self._items and (not taken or taken_bytes + self._items[0][1] <= max_bytes):
            item, size = self._items.popleft()
            taken.append(item)
            taken_bytes += size
        self._bytes -= taken_bytes
        self._moved.set()
        return taken

    def end(self) -> None:
        """There will be no more."""
        self._ended = True
        self._moved.set()


@asynccontextmanager
async def fed_by(make: Callable[[Feed[T]], Awaitable[None]], max_bytes: int) -> AsyncIterator[Feed[T]]:
    """A feed that a task fills, which ends with the block. What the task raises, the end of the block raises."""
    feed: Feed[T] = Feed(max_bytes)
    task = asyncio.ensure_future(make(feed))
    task.add_done_callback(lambda _: feed.end())
    try:
        yield feed
        await task
    finally:
        await ended(task)
