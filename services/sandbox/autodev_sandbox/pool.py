"""A pool of started sandboxes, each for one execution: kept ready as many as the demand asks for, made off its path."""

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from autodev_sandbox.backends import PoolStatus
from autodev_sandbox.execution import BackendUnavailable

log = logging.getLogger(__name__)

TEND_EVERY_S = 1.0
FIRST_BACKOFF_S, LAST_BACKOFF_S = 0.5, 10.0


class Pooled(Protocol):
    """What a pool needs of a sandbox."""

    def alive(self) -> bool:
        """Whether it could still run something. Cheap: asked before each use."""

    async def end(self) -> None:
        """End all that runs in it and remove it."""


class Demand:
    """How many sandboxes should wait: as many as are taken while one is made, and their chance excess over that.

    Takings are counted with weights that fade within `MEMORY_S`, so a rate that ends is forgotten.
    """

    MEMORY_S = 5.0
    TRUST = 0.2  # The weight of the latest time to make in the average.

    def __init__(self) -> None:
        self.takings = 0.0
        self.counted_at_s = 0.0
        self.making_s = 0.0

    def note_taken(self, now_s: float) -> None:
        self.takings = self.faded(now_s) + 1
        self.counted_at_s = now_s

    def note_made(self, seconds: float) -> None:
        self.making_s += (seconds - self.making_s) * (self.TRUST if self.making_s else 1)

    def wanted(self, now_s: float) -> int:
        meanwhile = self.faded(now_s) / self.MEMORY_S * self.making_s
        # Two standard deviations of a count whose mean this is; the first half taking is noise.
        return math.ceil(meanwhile + 2 * math.sqrt(meanwhile) - 0.5)

    def faded(self, now_s: float) -> float:
        return self.takings * math.exp((self.counted_at_s - now_s) / self.MEMORY_S)


S = TypeVar("S", bound=Pooled)


@dataclass(frozen=True)
class Waiting(Generic[S]):
    """A sandbox that waits to be taken."""

    sandbox: S
    since_s: float


class Pool(Generic[S]):
    """Sandboxes by what they are at; all together never more than `ceiling`.

    `make` starts one, and raises BackendUnavailable when it cannot. Used on one event loop, between `open` and `close`.
    """

    def __init__(
        self,
        make: Callable[[], Awaitable[S]],
        *,
        floor: int,
        ceiling: int,
        makers: int = 2,
        max_age_s: float = 300.0,
    ) -> None:
        self.make = make
        self.floor = min(floor, ceiling)
        self.ceiling = ceiling
        self.makers = makers
        self.max_age_s = max_age_s
        self.demand = Demand()
        self._ready: deque[Waiting[S]] = deque()
        self._starting = 0
        self._in_use: set[S] = set()
        self._ending = 0
        self._waiters: deque[asyncio.Future[S]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._tending: asyncio.Task[None] | None = None
        self._closed = True
        self._failures = 0
        self._refill_at_s = 0.0

    def open(self) -> None:
        """Begin to fill it. Opening what is open changes nothing."""
        if self._closed:
            self._closed = False
            self._tending = asyncio.create_task(self._tend_on())
        self._refill()

    async def take(self) -> S:
        """The sandbox that has waited longest; else the next that is made, or can be, in the order of asking.

        Raises BackendUnavailable, when it is closed or the making fails.
        """
        if self._closed:
            raise BackendUnavailable("the pool is closed")
        self.demand.note_taken(time.monotonic())
        while self._ready:
            sandbox = self._ready.popleft().sandbox
            if sandbox.alive():
                self._in_use.add(sandbox)
                self._refill()
                return sandbox
            self._end(sandbox)
        return await self._next()

    def retire(self, sandbox: S) -> None:
        """End a sandbox that was taken, in the background."""
        if sandbox in self._in_use:
            self._in_use.remove(sandbox)
            self._end(sandbox)

    @property
    def awaited(self) -> bool:
        """Whether somebody waits for one that is not made yet."""
        return any(not waiter.done() for waiter in self._waiters)

    def status(self) -> PoolStatus:
        return PoolStatus(
            ready=len(self._ready),
            starting=self._starting,
            in_use=len(self._in_use),
            ending=self._ending,
            floor=self.floor,
            ceiling=self.ceiling,
        )

    async def close(self) -> None:
        """End every sandbox, those in use too. When this returns, all are gone."""
        self._closed = True
        if self._tending:
            self._tending.cancel()
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(BackendUnavailable("the pool is closed"))
        for sandbox in list(self._in_use):
            self.retire(sandbox)
        self._end_ready(lambda _: True)
        # One that is being made is ended when it is there.
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _next(self) -> S:
        waiter: asyncio.Future[S] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        self._refill()
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and not waiter.exception():
                # It was given at the moment when nobody wanted it any more; nothing ran in it.
                self._in_use.remove(waiter.result())
                self._offer(waiter.result())
            raise
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    def _offer(self, sandbox: S) -> None:
        """Give it to whoever waits longest, else keep it."""
        if self._closed:
            self._end(sandbox)
        elif waiter := self._first_waiter():
            self._in_use.add(sandbox)
            waiter.set_result(sandbox)
        else:
            self._ready.append(Waiting(sandbox, time.monotonic()))

    def _first_waiter(self) -> asyncio.Future[S] | None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                return waiter
        return None

    def _refill(self) -> None:
        """Start making what is missing: for those who wait at once, for the others unless making has failed lately."""
        if self._closed:
            return
        missing = len(self._waiters) - self._starting
        now_s = time.monotonic()
        if now_s >= self._refill_at_s:
            missing += self._target(now_s) - len(self._ready)
        room = self.ceiling - self._total()
        for _ in range(min(missing, room, self.makers - self._starting)):
            self._starting += 1
            self._in_background(self._start())

    def _target(self, now_s: float) -> int:
        return max(self.floor, self.demand.wanted(now_s))

    def _total(self) -> int:
        return len(self._ready) + self._starting + len(self._in_use) + self._ending

    async def _start(self) -> None:
        began_s = time.monotonic()
        try:
            sandbox = await self.make()
        except Exception as error:
            self._starting -= 1
            self._note_failure(error)
        else:
            self._starting -= 1
            self._failures = 0
            self._refill_at_s = 0.0
            self.demand.note_made(time.monotonic() - began_s)
            self._offer(sandbox)
        self._refill()

    def _note_failure(self, error: Exception) -> None:
        backoff_s = min(FIRST_BACKOFF_S * 2**self._failures, LAST_BACKOFF_S)
        self._failures += 1
        self._refill_at_s = time.monotonic() + backoff_s
        if waiter := self._first_waiter():
            waiter.set_exception(error)
        elif isinstance(error, BackendUnavailable):
            log.warning("no sandbox can be kept ready, trying again in %.1f s: %s", backoff_s, error)
        else:
            log.error("no sandbox can be kept ready, trying again in %.1f s", backoff_s, exc_info=error)

    def _end(self, sandbox: S) -> None:
        self._ending += 1
        self._in_background(self._ended(sandbox))

    async def _ended(self, sandbox: S) -> None:
        try:
            await sandbox.end()
        except Exception:
            log.exception("a sandbox did not end as it should")
        finally:
            self._ending -= 1
            self._refill()

    async def _tend_on(self) -> None:
        while True:
            self._tend()
            await asyncio.sleep(TEND_EVERY_S)

    def _tend(self) -> None:
        """Replace the dead and the old; let one go that is not needed any more."""
        now_s = time.monotonic()
        self._end_ready(lambda each: not each.sandbox.alive() or now_s - each.since_s > self.max_age_s)
        if len(self._ready) > self._target(now_s):
            self._end(self._ready.popleft().sandbox)
        self._refill()

    def _end_ready(self, unwanted: Callable[[Waiting[S]], bool]) -> None:
        going = [each for each in self._ready if unwanted(each)]
        for each in going:
            self._ready.remove(each)
            self._end(each.sandbox)

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
