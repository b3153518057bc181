"""The event log: append, read on from a place, and be told of what is new."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Self

from autodev_gateway.event_log.appender import AppendBounds, Appender
from autodev_gateway.event_log.engine import Engine
from autodev_gateway.event_log.gaps import Gaps
from autodev_gateway.event_log.model import Appended, Draft, Filter, Joined, Page, PageBounds, Record, Trims
from autodev_gateway.event_log.retention import Retention, Sweeper
from autodev_gateway.event_log.tail import Tail
from autodev_runtime.errors import Unavailable
from autodev_sdk.ending import Patience, until_one_fails

logger = logging.getLogger(__name__)

POLL_S = 1.0
CATCH_UP_EVENTS = 500


@dataclass(frozen=True, slots=True)
class LogOptions:
    """How the log uses memory and disk."""

    append: AppendBounds = field(default_factory=AppendBounds)
    tail_bytes: int = 64 * 1024 * 1024
    retention: Retention = field(default_factory=Retention)


DEFAULT_OPTIONS = LogOptions()


class EventLog:
    """All tenants' events, in one order."""

    def __init__(
        self, engine: Engine, tail: Tail, trims: Trims, options: LogOptions, patience: Patience | None
    ) -> None:
        self._engine = engine
        self._tail = tail
        self._trims = trims
        self._options = options
        self._appender = Appender(engine, tail, options.append, self._committed, patience)
        self._sweeper = Sweeper(engine, trims, options.retention)
        self._behind = asyncio.Event()

    @classmethod
    async def open(
        cls, engine: Engine, options: LogOptions = DEFAULT_OPTIONS, patience: Patience | None = None
    ) -> Self:
        """The log as the engine has it. It appends while `run` runs, and after it what it has begun, with patience."""
        bounds = await engine.bounds()
        return cls(engine, Tail(bounds.head, options.tail_bytes), Trims(bounds.trimmed), options, patience)

    async def run(self) -> None:
        """Append what is published, and follow what other gateways append, for ever."""
        following = [self._follow()] if self._engine.shared else []
        await until_one_fails(self._engine.run(), self._appender.run(), *following)

    def _committed(self, appended: Sequence[Appended] | None) -> None:
        if appended is None:
            self._behind.set()
        else:
            self._tail.extend(appended)

    async def _follow(self) -> None:
        async with self._engine.notices(self._behind.set):
            while True:
                try:
                    async with asyncio.timeout(POLL_S):
                        await self._behind.wait()
                except TimeoutError:
                    # A notice may be lost with its connection.
                    pass
                self._behind.clear()
                try:
                    await self.catch_up()
                except Unavailable as error:
                    logger.warning("the log cannot be followed: %s", error)
                    await asyncio.sleep(POLL_S)

    async def catch_up(self) -> None:
        """Know everything that any gateway has acknowledged by now. Raises Unavailable."""
        if not self._engine.shared:
            return
        while True:
            found = await self._engine.after(self._tail.head, CATCH_UP_EVENTS)
            if found:
                self._tail.extend(found)
            if len(found) < CATCH_UP_EVENTS:
                return

    async def indexed(self) -> None:
        """Wait until the episodes are those of everything that was acknowledged by now. Raises Unavailable."""
        await self._engine.indexed()

    @property
    def head(self) -> int:
        """The place of the newest event."""
        return self._tail.head

    async def last(self, tenant: str) -> int:
        """The place of the tenant's newest event; 0 where it never had one. Raises Unavailable."""
        await self._floor(tenant)
        return self._tail.last(tenant)

    async def _floor(self, tenant: str) -> int:
        """The place after which the tenant's events are in memory. The engine is asked once a tenant."""
        if (floor := self._tail.floor(tenant)) is None:
            self._tail.begin(tenant, await self._engine.last(tenant, self._tail.opened))
            floor = self._tail.floor(tenant)
            assert floor is not None
        return floor

    def oldest(self, tenant: str) -> int:
        """The place after which the tenant's events are kept; for the tenant `*` the log's beginning."""
        return self._trims.through(tenant)

    async def earliest(self, tenant: str) -> int:
        """The same, with what other gateways have deleted by now. Raises Unavailable."""
        self._trims.advance(await self._engine.index.trimmed(tenant))
        return self.oldest(tenant)

    def gaps(self, tenant: str, from_start: int | None = None) -> Gaps:
        """What is gone of the log for a reader; not what is gone by now, for one who starts with what is kept."""
        return Gaps(self._trims, tenant, from_start)

    async def append(self, drafts: Sequence[Draft]) -> list[int]:
        """Append events in order, all or none. Returns their places once they are on disk.

        An event whose id the tenant's log holds is not appended again; its place is the first's.
        Raises ResourceExhausted (LOG_BUSY), Unavailable (LOG_UNAVAILABLE).
        """
        return await self._appender.enqueue(drafts)

    def enqueue(self, drafts: Sequence[Draft]) -> "asyncio.Future[list[int]]":
        """As `append`, without waiting: what is queued first is appended first. Raises ResourceExhausted at once."""
        return self._appender.enqueue(drafts)

    async def read(self, tenant: str, after: int, wanted: Filter, bounds: PageBounds) -> Page:
        """The tenant's next events after a place. An empty page says that there are none yet.

        Raises OutOfRange (CURSOR_EXPIRED) when events after the place are past retention; for `*` never, see `gaps`.
        """
        self._trims.check(tenant, after)
        page = await self.read_kept(tenant, after, wanted, bounds)
        # Retention, of this gateway or another, may have deleted what the query then did not find.
        self._trims.check(tenant, after)
        return page

    async def read_kept(self, tenant: str, after: int, wanted: Filter, bounds: PageBounds) -> Page:
        """The same of what is kept, whatever is gone."""
        after = max(after, self.oldest(tenant))
        floor = await self._floor(tenant)
        if after >= floor:
            return self._tail.read(tenant, after, wanted, bounds)
        page, trimmed = await self._engine.read(tenant, after, floor, wanted, bounds)
        self._trims.advance(trimmed)
        if page.records:
            return page
        return await self.read_kept(tenant, page.through, wanted, bounds)

    async def joined(self, tenant: str, after: int, wanted: Filter, bounds: PageBounds) -> Sequence[Joined]:
        """The tenant's next events after a place that is not `in_memory`, as messages. The last may be empty.

        Raises OutOfRange (CURSOR_EXPIRED), as `read` does.
        """
        self._trims.check(tenant, after)
        start, floor = max(after, self.oldest(tenant)), await self._floor(tenant)
        if start >= floor:
            return [Joined(b"", start, 0)]
        messages, trimmed = await self._engine.joined(tenant, start, floor, wanted, bounds)
        self._trims.advance(trimmed)
        self._trims.check(tenant, after)
        return messages

    def in_memory(self, tenant: str, after: int) -> bool:
        """Whether everything of the tenant's after the place is read without the database."""
        floor = self._tail.floor(tenant)
        return floor is not None and after >= floor

    async def at(self, tenant: str, seqs: Sequence[int], wanted: Filter) -> list[Record]:
        """The tenant's events at these places; those that are gone or not wanted are left out."""
        return await self._engine.by_seq(tenant, seqs, wanted)

    def listening(self, tenant: str, listener: Callable[[], None]) -> AbstractContextManager[None]:
        """Call the listener, within the block, after each append to the tenant's log."""
        return self._tail.listening(tenant, listener)

    def before_deleting(self, prepare: Callable[[], Awaitable[object]]) -> None:
        """Have this done before events are deleted, when no reader comes to them any more."""
        self._sweeper.prepare = prepare

    async def sweep(self) -> int:
        """Delete what is past retention. Returns how many events."""
        await self._engine.indexed()
        return await self._sweeper.sweep(self.head)
