"""Who runs next: as many at a time as there are slots; each tenant has a queue, and the queues are served in turns."""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

from autodev_runtime.errors import ResourceExhausted

RETRY_S = (0.05, 30.0)
SMOOTHING = 0.1
FIRST_GUESS_S = 0.1


class QueueFull(ResourceExhausted):
    """There is no place to wait."""

    def __init__(self, waiting: int, retry_after_s: float) -> None:
        super().__init__(
            f"{waiting} executions are waiting", reason="QUEUE_FULL", retry_after=timedelta(seconds=retry_after_s)
        )


class Place(Enum):
    """Where in its tenant's queue one waits."""

    LAST = "last"
    """As who comes for the first time: may be turned away."""
    KEPT = "kept"
    """In front, as who goes on with what it began: is never turned away, and takes nobody's place."""


@dataclass(eq=False, slots=True)
class _Waiter:
    place: Place
    turn: "asyncio.Future[None]"


class Turns:
    """Gives slots to tenants.

    A free slot goes to the tenants that wait, in turns. `spare` slots more are for tenants that have nothing running,
    so that one tenant's long executions do not hold up another. When `max_waiting` wait, the newest of the longest
    queue makes room, so that one tenant's flood turns nobody else away.
    """

    def __init__(self, slots: int, spare: int, max_waiting: int) -> None:
        self._slots = slots
        self._spare = spare
        self._max_waiting = max_waiting
        self._held: dict[str, int] = {}
        # Of the tenants that wait; whose turn is next comes first. Nobody waits who may run.
        self._queues: OrderedDict[str, deque[_Waiter]] = OrderedDict()
        self._kept = 0
        self._mean_s = FIRST_GUESS_S
        self.running = 0
        self.waiting = 0

    @asynccontextmanager
    async def turn(self, tenant: str, place: Place = Place.LAST) -> AsyncIterator[None]:
        """Hold a slot for the block, after waiting for it where none is free. Raises QueueFull, perhaps only then."""
        if self._may_run(tenant):
            self._begin(tenant)
        else:
            await self._wait(tenant, place)
        began_s = time.monotonic()
        try:
            yield
        finally:
            self._mean_s += SMOOTHING * (time.monotonic() - began_s - self._mean_s)
            self._end(tenant)

    def _may_run(self, tenant: str) -> bool:
        return self.running < self._slots or (self.running < self._slots + self._spare and tenant not in self._held)

    def _begin(self, tenant: str) -> None:
        self.running += 1
        self._held[tenant] = self._held.get(tenant, 0) + 1

    def _end(self, tenant: str) -> None:
        self.running -= 1
        self._held[tenant] -= 1
        if not self._held[tenant]:
            del self._held[tenant]
        self._serve()

    def _serve(self) -> None:
        """Give what slots there are to those whose turn it is."""
        while (tenant := next(filter(self._may_run, self._queues), None)) is not None:
            waiter = self._queues[tenant][0]
            self._queues.move_to_end(tenant)
            self._remove(tenant, waiter)
            # A waiter that was cancelled a moment ago has not yet had the time to leave.
            if not waiter.turn.done():
                self._begin(tenant)
                waiter.turn.set_result(None)

    async def _wait(self, tenant: str, place: Place) -> None:
        if place is Place.LAST and self.waiting - self._kept >= self._max_waiting:
            self._make_room_for(tenant)
        waiter = self._add(tenant, place)
        try:
            await waiter.turn
        except asyncio.CancelledError:
            if waiter.turn.cancelled():
                self._remove(tenant, waiter)
            elif waiter.turn.exception() is None:
                self._end(tenant)
            raise

    def _make_room_for(self, tenant: str) -> None:
        lengths = {each: sum(waiter.place is Place.LAST for waiter in queue) for each, queue in self._queues.items()}
        longest = max(lengths, key=lambda each: lengths[each], default=tenant)
        if lengths.get(tenant, 0) + 1 >= lengths.get(longest, 0):
            raise QueueFull(self.waiting, self._retry_after_s(tenant))
        newest = self._queues[longest][-1]
        self._remove(longest, newest)
        if not newest.turn.done():
            newest.turn.set_exception(QueueFull(self.waiting, self._retry_after_s(longest)))

    def _retry_after_s(self, tenant: str) -> float:
        """About when all of the tenant's queue has been served."""
        turns = min(len(self._queues.get(tenant, ())) * len(self._queues), self.waiting)
        least, most = RETRY_S
        return min(max((turns + 1) * self._mean_s / self._slots, least), most)

    def _add(self, tenant: str, place: Place) -> _Waiter:
        waiter = _Waiter(place, asyncio.get_running_loop().create_future())
        queue = self._queues.setdefault(tenant, deque())
        if place is Place.KEPT:
            queue.appendleft(waiter)
            self._kept += 1
        else:
            queue.append(waiter)
        self.waiting += 1
        return waiter

    def _remove(self, tenant: str, waiter: _Waiter) -> None:
        """Take a waiter out, if it is still there."""
        queue = self._queues.get(tenant, ())
        if waiter not in queue:
            return
        self._queues[tenant].remove(waiter)
        self.waiting -= 1
        self._kept -= waiter.place is Place.KEPT
        if not queue:
            del self._queues[tenant]
