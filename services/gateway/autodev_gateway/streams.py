"""The open event streams: a drain ends them, and so does age, so that their clients go on elsewhere at once.

A stream keeps its connection from being replaced, and with it its client from replicas that were added.
"""

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from autodev_runtime.errors import Unavailable

AGES_DIFFER_BY = 0.1
"""So that streams that began together do not all end together."""


class OpenStream:
    """One stream, and whether it is time for it to end. `wake` is called when that changes."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self.draining = False
        """It must end now."""
        self.due = False
        """It should end as soon as nothing is under way on it."""
        self.overdue = False
        """It should begin nothing more."""

    def drain(self) -> None:
        """End it now."""
        self.draining = True
        self._wake()

    def age(self) -> None:
        """Let it end when that is convenient."""
        self.due = True
        self._wake()

    def age_further(self) -> None:
        """Let it end soon."""
        self.overdue = True
        self._wake()

    def check(self, *, idle: bool = True) -> None:
        """Raises Unavailable (DRAINING) when the stream must end, or should and is idle."""
        if self.draining:
            raise Unavailable("the gateway stops; connect again", reason="DRAINING")
        if self.due and idle:
            raise Unavailable("the stream is old; connect again, perhaps to another gateway", reason="DRAINING")


class OpenStreams:
    """Streams that would go on for ever.

    Args:
        age_s: when a stream is due to end; None: never.
        patience_s: how long after that it may find no convenient moment.
    """

    def __init__(self, age_s: float | None = None, patience_s: float = 0.0) -> None:
        self._age_s = age_s
        self._patience_s = patience_s
        self._draining = False
        self._open: set[OpenStream] = set()

    @contextmanager
    def opened(self, wake: Callable[[], None]) -> Iterator[OpenStream]:
        """A stream that is open within the block."""
        stream = OpenStream(wake)
        stream.draining = self._draining
        self._open.add(stream)
        timers = []
        if self._age_s is not None:
            loop = asyncio.get_running_loop()
            due_s = self._age_s * random.uniform(1 - AGES_DIFFER_BY, 1 + AGES_DIFFER_BY)
            timers = [
                loop.call_later(due_s, stream.age),
                loop.call_later(due_s + self._patience_s, stream.age_further),
            ]
        try:
            yield stream
        finally:
            for timer in timers:
                timer.cancel()
            self._open.discard(stream)

    def drain(self) -> None:
        """End them all."""
        self._draining = True
        for stream in tuple(self._open):
            stream.drain()
