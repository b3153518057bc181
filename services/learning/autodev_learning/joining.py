"""Work that several callers may ask for at once and that is done once."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

Answer = TypeVar("Answer")


class Joined(Generic[Answer]):
    """Runs one piece of work a key at a time; who asks meanwhile gets the same answer.

    The work goes on when a caller gives up, so that a repeated call finds it done.
    """

    def __init__(self) -> None:
        self._under_way: dict[str, asyncio.Task[Answer]] = {}

    async def once(self, key: str, work: Callable[[], Coroutine[Any, Any, Answer]]) -> Answer:
        """Do the work, or wait for who does it. Raises what the work raises."""
        task = self._under_way.get(key)
        if task is None:
            task = self._under_way[key] = asyncio.ensure_future(work())
            task.add_done_callback(lambda done: self._forget(key, done))
        return await asyncio.shield(task)

    def _forget(self, key: str, done: "asyncio.Task[Answer]") -> None:
        self._under_way.pop(key, None)
        if not done.cancelled():
            # Every caller may have given up: then nobody else looks at the error.
            done.exception()
