"""The newest events, in memory: who follows the log live reads here and leaves the database alone."""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from autodev_gateway.event_log.model import Appended, Filter, Page, PageBounds, Record
from autodev_runtime.identity import ALL_TENANTS

Listener = Callable[[], None]


class _Lane:
    """The tail of one tenant, or of all."""

    def __init__(self) -> None:
        self.seqs: list[int] = []
        self.appended: list[Appended] = []
        self.start = 0

    def append(self, appended: Appended) -> None:
        self.seqs.append(appended.record.seq)
        self.appended.append(appended)

    def drop_first(self) -> Appended:
        first = self.appended[self.start]
        self.start += 1
        # Deleting from a list's front moves the rest, so it is done for many at once.
        if self.start > len(self.seqs) // 4:
            del self.seqs[: self.start], self.appended[: self.start]
            self.start = 0
        return first

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

    def extend(self, batch: Sequence[Appended]) -> None:
        """Add what was committed, and tell who listens. What is there already is left out."""
        if batch[0].record.seq <= self.head:
            batch = [each for each in batch if each.record.seq > self.head]
        if not batch:
            return
        for each in batch:
            self._all.append(each)
            lane = self._lanes.get(each.tenant)
            if lane is None:
                lane = self._lanes[each.tenant] = _Lane()
            lane.append(each)
            self._bytes += len(each.record.sized)
        self.head = batch[-1].record.seq
        while self._bytes > self._max_bytes:
            self._drop_first()
        for tenant in {each.tenant for each in batch} | {ALL_TENANTS}:
            for listener in tuple(self._listeners.get(tenant, ())):
                listener()

    def _drop_first(self) -> None:
        first = self._all.drop_first()
        lane = self._lanes[first.tenant]
        lane.drop_first()
        if not lane.seqs:
            del self._lanes[first.tenant]
        self._bytes -= len(first.record.sized)
        self.floor = first.record.seq

    def read(self, tenant: str, after: int, wanted: Filter, bounds: PageBounds) -> Page:
        """The next events of the tenant after a place that is not before `floor`."""
        lane = self._all if tenant == ALL_TENANTS else self._lanes.get(tenant)
        if lane is None:
            return Page((), self.head)
        found: list[Record] = []
        size_bytes = 0
        for index in range(lane.first_after(after), len(lane.appended)):
            appended = lane.appended[index]
            if wanted.passes_all or wanted.passes(appended):
                record = appended.record
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
