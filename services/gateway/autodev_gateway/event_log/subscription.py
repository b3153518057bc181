"""Following the log: one subscriber's place in it, and its messages."""

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from autodev_gateway import wire
from autodev_gateway.event_log.log import EventLog
from autodev_gateway.event_log.model import Filter, Joined, Page, PageBounds, cursor_of
from autodev_runtime.identity import ALL_TENANTS

SHARED_MESSAGES = 32


class Batch(NamedTuple):
    """One message to a subscriber: a serialised SubscribeResponse."""

    message: bytes
    through: int
    events: int


class Broadcast:
    """Makes subscribers' messages. Those who follow all of a tenant's events from one place share one message."""

    def __init__(self, log: EventLog) -> None:
        self.log = log
        self._shared: dict[tuple[str, int, int], Batch] = {}

    @contextmanager
    def running(self) -> Iterator[None]:
        """Forget, within the block, shared messages that could hold more since an append."""
        with self.log.listening(ALL_TENANTS, self._shared.clear):
            yield

    async def next(self, tenant: str, after: int, wanted: Filter, bounds: PageBounds) -> Batch:
        """The next message after a place; one without events when there are none yet."""
        sharable = wanted.passes_all and self.log.in_memory(tenant, after)
        key = tenant, after, bounds.events
        if sharable and (shared := self._shared.get(key)) is not None:
            return shared
        batch = batch_of(await self.log.read(tenant, after, wanted, bounds))
        if sharable:
            if len(self._shared) >= SHARED_MESSAGES:
                self._shared.clear()
            self._shared[key] = batch
        return batch


class Subscription:
    """One subscriber's place in the log."""

    def __init__(self, broadcast: Broadcast, tenant: str, position: int, wanted: Filter, bounds: PageBounds) -> None:
        self.position = position
        self._broadcast = broadcast
        self._tenant = tenant
        self._wanted = wanted
        self._bounds = bounds
        self._appended = asyncio.Event()
        self._stopped = False
        self._ahead: deque[Joined] = deque()
        """What was read from the database and is not sent yet."""
        self._reading: asyncio.Task[Sequence[Joined]] | None = None
        """What reads on after it."""

    def wake(self) -> None:
        """Something was appended."""
        self._appended.set()

    def stop(self) -> None:
        """Wait for no more events."""
        self._stopped = True
        self._appended.set()

    async def next(self, heartbeat_s: float) -> Batch:
        """The next message: events as soon as there are some, else a heartbeat after a while, or when it is stopped.

        Raises OutOfRange (CURSOR_EXPIRED).
        """
        deadline = asyncio.get_running_loop().time() + heartbeat_s
        while True:
            self._appended.clear()
            batch = await self._read()
            self.position = max(self.position, batch.through)
            if batch.events or self._stopped or not await self._woken(deadline):
                return batch

    def close(self) -> None:
        """Read no further."""
        if self._reading is not None:
            self._reading.cancel()
            # What it may have failed by is no longer of interest.
            self._reading.add_done_callback(lambda reading: reading.cancelled() or reading.exception())

    async def _read(self) -> Batch:
        while not self._ahead:
            if self._reading is None:
                if self._broadcast.log.in_memory(self._tenant, self.position):
                    return await self._broadcast.next(self._tenant, self.position, self._wanted, self._bounds)
                self._read_on(self.position)
            reading, self._reading = self._reading, None
            assert reading is not None
            read = await reading
            self.position = max(self.position, read[-1].through)
            self._ahead.extend(each for each in read if each.events)
            # While these are sent, the next are read.
            if not self._broadcast.log.in_memory(self._tenant, self.position):
                self._read_on(self.position)
        return message_of(self._ahead.popleft())

    def _read_on(self, after: int) -> None:
        reading = self._broadcast.log.joined(self._tenant, after, self._wanted, self._bounds)
        self._reading = asyncio.ensure_future(reading)

    async def _woken(self, deadline: float) -> bool:
        try:
            async with asyncio.timeout_at(deadline):
                await self._appended.wait()
        except TimeoutError:
            return False
        return True


def batch_of(page: Page) -> Batch:
    """A page as a message."""
    events = wire.joined(record.sized for record in page.records)
    return message_of(Joined(events, page.through, len(page.records)))


def message_of(joined: Joined) -> Batch:
    """Joined events as a message."""
    return Batch(wire.subscribe_response(joined.body, cursor_of(joined.through)), joined.through, joined.events)
