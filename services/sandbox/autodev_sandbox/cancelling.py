"""Ending an execution by its name, whatever it is at: waiting, getting a sandbox, or running."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from autodev_runtime.errors import AlreadyExists, NotFound


class EndedByName(Exception):
    """The block was ended by its name."""


class Cancellable:
    """A block of one task that another task may end: it then raises EndedByName."""

    def __init__(self) -> None:
        self._cancelled = False

    def cancel(self) -> None:
        """End the block."""
        if not self._cancelled:
            self._cancelled = True
            self._task.cancel()

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._outer_cancels = task.cancelling()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self._cancelled:
            return
        # As asyncio.timeout does it: the task may have been cancelled from outside as well, and that goes on.
        if self._task.uncancel() <= self._outer_cancels and kind is asyncio.CancelledError:
            raise EndedByName from error


class Names:
    """The executions that can be cancelled, by tenant and name."""

    def __init__(self) -> None:
        self._blocks: dict[tuple[str, str], Cancellable] = {}

    @contextmanager
    def named(self, tenant: str, name: str) -> Iterator[None]:
        """A block that `cancel` ends, by EndedByName; without a name, nothing does. Raises AlreadyExists."""
        if not name:
            yield
            return
        key = (tenant, name)
        if key in self._blocks:
            raise AlreadyExists("execution", name)
        block = self._blocks[key] = Cancellable()
        try:
            with block:
                yield
        finally:
            del self._blocks[key]

    def cancel(self, tenant: str, name: str) -> None:
        """End the tenant's execution of that name. Raises NotFound."""
        block = self._blocks.get((tenant, name))
        if block is None:
            raise NotFound("execution", name)
        block.cancel()
