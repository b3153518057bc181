"""The open event streams: a drain ends them, so that their clients go on elsewhere at once."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from autodev_runtime.errors import Unavailable


class OpenStreams:
    """Streams that would go on for ever."""

    def __init__(self) -> None:
        self._draining = False
        self._wakes: set[Callable[[], None]] = set()

    @contextmanager
    def opened(self, wake: Callable[[], None]) -> Iterator[None]:
        """A stream that is open within the block, and woken by a drain."""
        self._wakes.add(wake)
        try:
            yield
        finally:
            self._wakes.discard(wake)

    def drain(self) -> None:
        """End them all."""
        self._draining = True
        for wake in tuple(self._wakes):
            wake()

    def check(self) -> None:
        """Raises Unavailable (DRAINING) when the stream must end."""
        if self._draining:
            raise Unavailable("the gateway stops; connect again", reason="DRAINING")
