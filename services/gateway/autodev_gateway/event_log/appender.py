"""Group commit: one task takes every publish that waits and commits them in one transaction.

A commit to disk costs about the same for one event as for a thousand, so the more publishers wait, the more share it.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from operator import attrgetter

from autodev_gateway import metrics, wire
from autodev_gateway.event_log.appending import Stamped
from autodev_gateway.event_log.engine import Engine
from autodev_gateway.event_log.model import Appended, Draft, Record, cursor_of
from autodev_gateway.event_log.tail import Tail
from autodev_gateway.shutdown import to_the_end
from autodev_runtime.database_faults import DISK_FULL
from autodev_runtime.errors import ResourceExhausted, Unavailable
from autodev_sdk.ending import Patience

log = logging.getLogger(__name__)

BUSY, APART_S = 8, 0.008
"""While at least so many publishes share a transaction, the next begins so long after: each costs them all its hops."""

AWAY, STOPS = "LOG_UNAVAILABLE", "the log stops"
RETRY_AFTER = timedelta(milliseconds=100)


@dataclass(frozen=True, slots=True)
class AppendBounds:
    """How much may wait, and how much is committed at once."""

    waiting_events: int = 20_000
    waiting_bytes: int = 128 * 1024 * 1024
    batch_events: int = 2_000
    batch_bytes: int = 16 * 1024 * 1024


@dataclass(slots=True)
class _Waiting:
    drafts: Sequence[Draft]
    size_bytes: int
    done: "asyncio.Future[list[int]]"


Committed = Callable[[Sequence[Appended] | None], None]


class Appender:
    """Gives each event its place, and stores it. There is one in a process: places are handed out in its order."""

    def __init__(
        self,
        engine: Engine,
        tail: Tail,
        bounds: AppendBounds,
        committed: Committed,
        patience: Patience | None = None,
    ) -> None:
        """`committed` is told what was appended, and what others had before; None: too much of others to say.

        `patience` is how long what is being appended may still take when the appender is told to end.
        """
        self._engine = engine
        self._tail = tail
        self._head = tail.head
        self._bounds = bounds
        self._committed = committed
        self._patience = patience
        self._queue: deque[_Waiting] = deque()
        self._events = 0
        self._bytes = 0
        self._arrived = asyncio.Event()

    def enqueue(self, drafts: Sequence[Draft]) -> "asyncio.Future[list[int]]":
        """Queue events, to be appended in order, all or none. The result comes once they are on disk: their places.

        Raises ResourceExhausted (LOG_BUSY) at once when too much waits.
        """
        size_bytes = sum(len(draft.body) for draft in drafts)
        full = self._events + len(drafts) > self._bounds.waiting_events
        if self._queue and (full or self._bytes + size_bytes > self._bounds.waiting_bytes):
            raise ResourceExhausted(
                f"{self._events} events wait to be appended", reason="LOG_BUSY", retry_after=RETRY_AFTER
            )
        waiting = _Waiting(drafts, size_bytes, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        self._events += len(drafts)
        self._bytes += size_bytes
        self._arrived.set()
        return waiting.done

    async def run(self) -> None:
        """Append what is queued, for ever. What is queued when it is cancelled fails."""
        begins_s = 0.0
        try:
            while True:
                await self._arrived.wait()
                if self._events < self._bounds.batch_events and (wait_s := begins_s - time.monotonic()) > 0:
                    await asyncio.sleep(wait_s)
                batch = self._take()
                begins_s = time.monotonic() + APART_S if len(batch) >= BUSY else 0.0
                await self._append_or_fail(batch)
        finally:
            _fail(self._queue, STOPS, AWAY)

    async def _append_or_fail(self, batch: Sequence[_Waiting]) -> None:
        try:
            await to_the_end(self._append(batch), self._patience)
        except Exception as error:
            # Whatever it was, publishers after these must not wait for ever.
            log.exception("the log could not be written")
            told = "the log could not be written; publish the same events again: each is appended once"
            # The only one that somebody has to do something about.
            full = isinstance(error, Unavailable) and error.reason == DISK_FULL
            _fail(batch, told, DISK_FULL if full else AWAY)
        except BaseException:
            _fail(batch, STOPS, AWAY)
            raise

    def _take(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        events = size_bytes = 0
        while self._queue:
            first = self._queue[0]
            events += len(first.drafts)
            size_bytes += first.size_bytes
            if batch and (events > self._bounds.batch_events or size_bytes > self._bounds.batch_bytes):
                break
            batch.append(self._queue.popleft())
            self._events -= len(first.drafts)
            self._bytes -= first.size_bytes
        if not self._queue:
            self._arrived.clear()
        return batch

    async def _append(self, batch: Sequence[_Waiting]) -> None:
        # An engine may keep each tenant's part by itself, so each has its places one after the other.
        drafts = sorted((draft for waiting in batch for draft in waiting.drafts), key=_tenant)
        stamped: dict[tuple[str, str], Stamped] = {}

        def stamp(head: int) -> Sequence[Stamped]:
            nonlocal stamped
            stamped = self._stamp(drafts, head)
            return list(stamped.values())

        started = time.perf_counter()
        written = await self._engine.append(stamp, self._tail.head)
        metrics.APPEND_SECONDS.observe(time.perf_counter() - started)
        known = written.known
        fresh = [each.appended for key, each in stamped.items() if key not in known]
        metrics.APPENDED.inc(len(fresh))
        metrics.DUPLICATES.inc(len(drafts) - len(fresh))
        metrics.BATCH_EVENTS.observe(len(drafts))
        if written.missed is None:
            self._committed(None)
        elif appended := [*written.missed, *fresh]:
            self._committed(appended)
        places = {key: each.appended.record.seq for key, each in stamped.items()} | known
        for waiting in batch:
            if not waiting.done.done():
                waiting.done.set_result([places[draft.tenant, draft.event_id] for draft in waiting.drafts])

    def _stamp(self, drafts: Sequence[Draft], head: int) -> dict[tuple[str, str], Stamped]:
        """The drafts with places after `head`, by tenant and id; of an id that comes twice, the first."""
        stamped: dict[tuple[str, str], Stamped] = {}
        seq = max(self._head, head, time.time_ns() // 1000 - 1)
        for tenant, event_id, kind, agent_id, skill_id, body, episode in drafts:
            key = tenant, event_id
            if key in stamped:
                continue
            seq += 1
            record = Record(seq, wire.recorded(body, cursor_of(seq), seq))
            stamped[key] = Stamped(Appended(record, tenant, kind, agent_id, skill_id), event_id, episode)
        self._head = seq
        return stamped


_tenant = attrgetter("tenant")


def _fail(batch: Iterable[_Waiting], message: str, reason: str) -> None:
    for waiting in batch:
        if not waiting.done.done():
            waiting.done.set_exception(Unavailable(message, reason=reason))
