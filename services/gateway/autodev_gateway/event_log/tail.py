"""The newest events, in memory: who follows the log live reads here and leaves the database alone."""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from autodev_gateway.event_log.model import Filter, Page, PageBounds, Record
from autodev_runtime.identity import ALL_TENANTS

Listener = Callable[[], None]


class _Lane:
    """The tail of one tenant, or of all."""

    def __init__(self) -> None:
        self.seqs: list[int] = []
        self.records: list[Record] = []
        self.start = 0

    def append(self, record: Record) -> None:
        self.seqs.append(record.seq)
        self.records.append(record)

    def drop_first(self) -> Record:
        record = self.records[self.start]
        self.start += 1
        # Deleting from a list's front moves the rest, so it is done for many at once.
        if self.start > len(self.records) // 4:
            del self.seqs[: self.start], self.records[: self.start]
            self.start = 0
        return record

    def first_after(self, position: int) -> int:
        return bisect_right(self.seqs, position, self.start)


class Tail:
    """Every event after `floor`, up to `head`."""

    def __init__(self, head: int, max_bytes: int) -> None:
        self.floor = head
        self.head = head
        self._max_bytes = max_bytes
        self._bytes = 0
        self._all = _Lane()
        self._lanes: dict[str, _Lane] = {}
        self._listeners: dict[str, set[Listener]] = {}

    def extend(self, records: Sequence[Record]) -> None:
        """Add what was committed, and tell who listens."""
        for record in records:
            self._all.append(record)
            lane = self._lanes.get(record.tenant)
            if lane is None:
                lane = self._lanes[record.tenant] = _Lane()
            lane.append(record)
            self._bytes += len(record.sized)
        self.head = records[-1].seq
        while self._bytes > self._max_bytes:
            self._drop_first()
        for tenant in {record.tenant for record in records} | {ALL_TENANTS}:
            for listener in tuple(self._listeners.get(tenant, ())):
                listener()

    def _drop_first(self) -> None:
        record = self._all.drop_first()
        lane = self._lanes[record.tenant]
        lane.drop_first()
        if not lane.records:
            del self._lanes[record.tenant]
        self._bytes -= len(record.sized)
        self.floor = record.seq

    def read(self, tenant: str, after: int, wanted: Filter, bounds: PageBounds) -> Page:
        """The next events of the tenant after a place that is not before `floor`."""
        lane = self._all if tenant == ALL_TENANTS else self._lanes.get(tenant)
        if lane is None:
            return Page((), self.head)
        found: list[Record] = []
        size_bytes = 0
        for index in range(lane.first_after(after), len(lane.records)):
            record = lane.records[index]
            if wanted.passes_all or wanted.passes(record):
                size_bytes += len(record.sized)
                if found and size_bytes > bounds.size_bytes:
                    return Page(found, found[-1].seq)
                found.append(record)
                if len(found) == bounds.events:
                    return Page(found, record.seq)
        return Page(found, self.head)

    @contextmanager
    def listening(self, tenant: str, listener: Listener) -> Iterator[None]:
        """Call the listener, within the block, after each append to the tenant's log."""
        listeners = self._listeners.setdefault(tenant, set())
        listeners.add(listener)
        try:
            yield
        finally:
            listeners.discard(listener)
            if not listeners:
                self._listeners.pop(tenant, None)
