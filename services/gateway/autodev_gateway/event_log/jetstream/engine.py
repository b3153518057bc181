"""The engine on JetStream: one stream holds all tenants' events; gateways take turns by appending where they expect.

Every append states the number after which it goes. So of several gateways, and of a request and its repetition, one
is taken, and whoever is not reads what came before, and tries again behind it. That makes one order of all events,
without a gap, and lets an append whose answer was lost be repeated: if it was stored, its ids are found in what came.
"""

import asyncio
import time
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from autodev_gateway import wire
from autodev_gateway.event_log.appending import Stamp, Stamped, Written
from autodev_gateway.event_log.engine import Bounds, JoinedReading, Newest, Reading, WrongLog
from autodev_gateway.event_log.jetstream.connection import connected
from autodev_gateway.event_log.jetstream.index import Index
from autodev_gateway.event_log.jetstream.options import NatsOptions
from autodev_gateway.event_log.jetstream.segment import Segment, packed, segments_of
from autodev_gateway.event_log.jetstream.stream import Message, Moved, Stream
from autodev_gateway.event_log.model import (
    ALL_EVENTS,
    READ_AHEAD,
    Appended,
    Filter,
    Page,
    PageBounds,
    Record,
    joined_of,
)
from autodev_gateway.event_log.store import EventStore
from autodev_runtime.database import Database
from autodev_runtime.errors import Unavailable
from autodev_runtime.identity import ALL_TENANTS
from autodev_sdk.ending import results_of

APPEND_S = 8.0
"""How long an append is tried while the server is away."""
RETRY_S = 0.1
AHEAD = 8
MARKS = 20_000
READERS = 1000
NO_EVENT = wire.sized(b"")


@asynccontextmanager
async def opened(options: NatsOptions, database: Database) -> AsyncIterator["JetStreamEngine"]:
    """The engine, connected within the block. Raises UnfitServer."""
    async with connected(options) as stream:
        yield JetStreamEngine(stream, Index(database, EventStore(database)))


class JetStreamEngine:
    """Keeps events in a stream, and rows of them in the database. An `Engine`."""

    def __init__(self, stream: Stream, index: Index) -> None:
        self._stream = stream
        self._index = index
        self._followed = 0
        """The number of the last message that this process knows; and of events, the last place."""
        self._head = 0
        self._mark_places: list[int] = []
        self._mark_numbers: list[int] = []
        self._readers: OrderedDict[tuple[str, int], int] = OrderedDict()
        """By the subject and the place at which a reader stopped, the message with the next one of that subject."""

    @property
    def shared(self) -> bool:
        """Always: any gateway may be connected to the stream."""
        return True

    @property
    def index(self) -> EventStore:
        """The rows in the database."""
        return self._index.rows

    async def ready(self) -> bool:
        """Whether the server answers."""
        return await self._stream.ready()

    async def bounds(self) -> Bounds:
        """Where the log stands. What the database has not got yet is read again.

        Raises WrongLog where the database has events that the stream does not have.
        """
        # Before it is asked how far the stream goes: another gateway may write both at the same time.
        newest = await self.index.newest()
        rows = await self.index.bounds()
        self._index.position = self._head = rows.head
        last = await self._stream.last()
        self._followed = last
        self._followed = await self._first_after(rows.head) - 1
        await self._require_same_log(newest, rows)
        async for segment in self._between(self._followed + 1, last):
            self._absorb(segment)
            await self._index.write_most()
        return Bounds(self._head, rows.trimmed)

    async def _require_same_log(self, newest: Newest | None, rows: Bounds) -> None:
        if newest is None or newest.seq <= rows.trimmed.get(newest.tenant, 0):
            return
        if newest.stored:
            raise WrongLog("the database holds an event log of its own, with which NATS cannot go on")
        if not await self._at(newest.tenant, [newest.seq], ALL_EVENTS):
            raise WrongLog(
                f"the stream {self._stream.name} does not have the events that the database knows: it is another one, "
                "or was deleted"
            )

    async def run(self) -> None:
        """Write the database's rows, for ever."""
        await self._index.run()

    def notices(self, heard: Callable[[], None]) -> AbstractAsyncContextManager[None]:
        """Call `heard`, within the block, when another gateway has appended."""
        return self._stream.notices(heard)

    async def append(self, stamp: Stamp, followed: int) -> Written:
        """See Engine."""
        await self._index.room()
        seen, head = self._followed, self._head
        missed: list[Appended] | None = [] if followed == head else None
        batch = stamp(head)
        known = await self._index.known(batch)
        deadline = time.monotonic() + APPEND_S
        while True:
            segments = list(segments_of(each for each in batch if _key(each) not in known))
            if not segments:
                return Written(batch, known, missed)
            try:
                last = await self._append(segments, seen)
            except Moved:
                pass
            except Unavailable:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(RETRY_S)
            else:
                for number, events in enumerate(segments, last - len(segments) + 1):
                    self._absorb(Segment(number, events))
                await self._index.wake()
                await self._stream.notify()
                return Written(batch, known, missed)
            if time.monotonic() > deadline:
                raise Unavailable("others append without end", reason="LOG_UNAVAILABLE")
            try:
                others, seen, head = await self._after_number(seen, head)
            except Unavailable:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(RETRY_S)
                continue
            known |= {_key(each): each.appended.record.seq for each in others}
            if missed is not None:
                missed += [each.appended for each in others]
            batch = stamp(head)

    async def _after_number(self, seen: int, head: int) -> tuple[list[Stamped], int, int]:
        """What came after a message, and the stream's last number and place now."""
        found: list[Stamped] = []
        last = await self._stream.last()
        async for segment in self._between(seen + 1, last):
            self._absorb(segment)
            found += segment.events
            seen, head = segment.number, segment.last
        if seen < last:
            # The newest messages are deleted already; places go on after theirs.
            head = max(head, *(await self.index.trimmed(ALL_TENANTS)).values())
        return found, last, head

    async def _append(self, segments: Sequence[Sequence[Stamped]], after: int) -> int:
        messages = [Message(self._stream.subject_of(each[0].appended.tenant), packed(each)) for each in segments]
        return await self._stream.append(messages, after)

    async def after(self, place: int, limit: int) -> Sequence[Appended]:
        """See Engine."""
        found: list[Appended] = []
        async for segment in self._between(await self._first_after(place), await self._stream.last()):
            self._absorb(segment)
            found += [each.appended for each in segment.events if each.appended.record.seq > place]
            if len(found) >= limit:
                break
        await self._index.wake()
        return found

    async def _between(self, first: int, last: int) -> AsyncIterator[Segment]:
        """The messages with these numbers that are there, some of them asked for ahead."""
        for start in range(first, last + 1, AHEAD):
            numbers = range(start, min(start + AHEAD, last + 1))
            for segment in await results_of(*(self._stream.get(each) for each in numbers)):
                if segment is not None:
                    yield segment
        if first <= self._followed + 1:
            # Those that are not there any more are known as well.
            self._followed = max(self._followed, last)

    def _absorb(self, segment: Segment) -> None:
        """Know a message; messages come in their order, or again."""
        if segment.number <= self._followed:
            return
        self._followed, self._head = segment.number, segment.last
        self._mark_places.append(segment.last)
        self._mark_numbers.append(segment.number)
        if len(self._mark_places) > 2 * MARKS:
            del self._mark_places[:MARKS], self._mark_numbers[:MARKS]
        self._index.add(segment.events)

    async def last(self, tenant: str, through: int) -> int:
        """See Engine."""
        await self._index.through(through)
        return await self.index.last(tenant, through)

    async def read(self, tenant: str, after: int, through: int, wanted: Filter, bounds: PageBounds) -> Reading:
        """See Engine. Where not every event is wanted, the database's rows say which are."""
        if wanted.passes_all:
            page = await self._page(tenant, after, through, bounds)
        else:
            await self._index.through(through)
            rows = (await self.index.read(tenant, after, through, wanted, bounds)).page
            page = Page(await self.by_seq(tenant, [record.seq for record in rows.records], wanted), rows.through)
        # Afterwards: what was deleted meanwhile is no gap, but told.
        return Reading(page, await self.index.trimmed(tenant))

    async def joined(self, tenant: str, after: int, through: int, wanted: Filter, bounds: PageBounds) -> JoinedReading:
        """See Engine."""
        page, trimmed = await self.read(tenant, after, through, wanted, READ_AHEAD)
        return JoinedReading(joined_of(page, bounds), trimmed)

    async def _page(self, tenant: str, after: int, through: int, bounds: PageBounds) -> Page:
        records: list[Record] = []
        size_bytes = 0
        subject = self._subject(tenant)
        number = self._readers.get((subject, after)) or await self._first_after(after)
        while (segment := await self._stream.next(number, subject)) is not None:
            for each in segment.events:
                record = each.appended.record
                if record.seq <= after:
                    continue
                if record.seq > through:
                    return Page(records, through)
                size_bytes += len(record.sized)
                if len(records) == bounds.events or (records and size_bytes > bounds.size_bytes):
                    self._stopped(subject, records[-1].seq, segment.number)
                    return Page(records, records[-1].seq)
                records.append(record)
            number = segment.number + 1
        return Page(records, through)

    def _subject(self, tenant: str) -> str:
        return self._stream.all_subjects if tenant == ALL_TENANTS else self._stream.subject_of(tenant)

    def _stopped(self, subject: str, place: int, number: int) -> None:
        self._readers[subject, place] = number
        if len(self._readers) > READERS:
            self._readers.popitem(last=False)

    async def by_seq(self, tenant: str, seqs: Sequence[int], wanted: Filter) -> list[Record]:
        """See Engine. What retention has left to groups is in the database, the rest in the stream."""
        rows = await self.index.by_seq(tenant, seqs, wanted)
        kept = [record for record in rows if record.sized != NO_EVENT]
        missing = set(seqs).difference(record.seq for record in kept)
        return sorted([*kept, *await self._at(tenant, sorted(missing), wanted)])

    async def _at(self, tenant: str, seqs: Sequence[int], wanted: Filter) -> list[Record]:
        found: list[Record] = []
        segment: Segment | None = None
        for seq in seqs:
            if segment is None or segment.last < seq:
                segment = await self._stream.next(await self._first_after(seq - 1), self._stream.all_subjects)
                if segment is None:
                    break
            found += [
                each.appended.record
                for each in segment.events
                if each.appended.record.seq == seq
                and tenant in (ALL_TENANTS, each.appended.tenant)
                and wanted.passes(each.appended)
            ]
        return found

    async def _first_after(self, place: int) -> int:
        """The number of the first message with an event after a place; of the next one where there is none yet."""
        if self._mark_places and place >= self._mark_places[0]:
            index = bisect_right(self._mark_places, place)
            return self._mark_numbers[index] if index < len(self._mark_numbers) else self._followed + 1
        return await self._search(place, self._mark_numbers[0] if self._mark_numbers else self._followed + 1)

    async def _search(self, place: int, answer: int) -> int:
        """As `_first_after`, between the first message and one that is after the place."""
        low, end = 1, answer
        for near in await self._near(place):
            if near.last > place:
                answer = end = min(end, near.number)
            else:
                low = max(low, near.number + 1)
        while low < end:
            middle = (low + end) // 2
            guess = await self._stream.next(middle, self._stream.all_subjects)
            if guess is None or guess.number >= end:
                end = middle
            elif guess.last > place:
                answer = end = guess.number
            else:
                low = guess.number + 1
        return answer

    async def _near(self, place: int) -> Sequence[Segment]:
        """The message that the server stored at the time that a place is, and the one beside it.

        Where clocks agree, the first message after the place is the later of the two, and nothing is left to search.
        """
        guess = await self._stream.since(place)
        if guess is None:
            return []
        if guess.last <= place:
            beside = await self._stream.next(guess.number + 1, self._stream.all_subjects)
        else:
            beside = await self._stream.get(guess.number - 1) if guess.number > 1 else None
        return [guess] if beside is None else [guess, beside]

    async def trim(self, through: dict[str, int]) -> int:
        """See Engine. What a group still needs goes to the database before it is deleted here."""
        deleted = await self.index.trim(through)
        # Now, since a group of another gateway may have taken some until their rows were gone.
        for tenant, seqs in (await self._index.needed(through)).items():
            kept = await self._at(tenant, seqs, ALL_EVENTS)
            await self._index.keep([(record.seq, wire.unsized(record.sized)) for record in kept])
        for tenant, place in through.items():
            await self._stream.purge(self._stream.subject_of(tenant), await self._first_after(place))
        return deleted

    async def indexed(self) -> None:
        """See Engine."""
        await self._after_number(self._followed, self._head)
        await self._index.wake()
        await self._index.through(self._head)


def _key(stamped: Stamped) -> tuple[str, str]:
    return stamped.appended.tenant, stamped.event_id
