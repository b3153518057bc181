"""The newest events, in memory: who follows the log live reads here and leaves the database alone."""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice

from autodev_gateway.event_log.model import Appended, Filter, Page, PageBounds, Record
from autodev_runtime.identity import ALL_TENANTS

Listener = Callable[[], None]


class _Lane:
    """The tail of one tenant, or of all: a column each of what is known of the events.

    Columns of numbers, strings and bytes are nothing to Python's collector of cycles, which would go through hundreds
    of thousands of records again and again.
    """

    __slots__ = ("agents", "seqs", "sized", "skills", "start", "tenants", "types")

    def __init__(self) -> None:
        self.seqs: list[int] = []
        self.sized: list[bytes] = []
        self.tenants: list[str] = []
        self.types: list[int] = []
        self.agents: list[str] = []
        self.skills: list[str] = []
        self.start = 0

    def extend(self, batch: Sequence[Appended]) -> None:
        for (seq, sized), tenant, kind, agent_id, skill_id in batch:
            self.seqs.append(seq)
            self.sized.append(sized)
            self.tenants.append(tenant)
            self.types.append(kind)
            self.agents.append(agent_id)
            self.skills.append(skill_id)

    def drop_first(self) -> None:
        self.start += 1
        # Deleting from a list's front moves the rest, so it is done for many at once.
        if self.start > len(self.seqs) // 4:
            for column in (self.seqs, self.sized, self.tenants, self.types, self.agents, self.skills):
                del column[: self.start]
            self.start = 0

    def read(self, after: int, wanted: Filter, bounds: PageBounds) -> Page:
        """The next events after a place; the page reaches to the lane's last event where there are no more."""
        first = bisect_right(self.seqs, after, self.start)
        places: Sequence[int] = range(first, min(first + bounds.events, len(self.seqs)))
        ended = first + bounds.events > len(self.seqs)
        if not wanted.passes_all:
            places = list(islice(self._passing(first, wanted), bounds.events))
            ended = len(places) < bounds.events
        fitting = self._fitting(places, bounds.size_bytes)
        records = [Record(self.seqs[place], self.sized[place]) for place in places[:fitting]]
        return Page(records, self.seqs[-1] if ended and fitting == len(places) else records[-1].seq)

    def _passing(self, first: int, wanted: Filter) -> Iterator[int]:
        for place in range(first, len(self.seqs)):
            if wanted.passes_of(self.types[place], self.agents[place], self.skills[place]):
                yield place

    def _fitting(self, places: Sequence[int], size_bytes: int) -> int:
        """How many of these fit. The first does whatever its size, or one that is too large would stop the reader."""
        for count, place in enumerate(places):
            size_bytes -= len(self.sized[place])
            if count and size_bytes < 0:
                return count
        return len(places)


class Tail:
    """Every event of a tenant after its floor, up to its last.

    Both are places of the tenant's own events, so that what its readers are told says nothing of other tenants.
    """

    def __init__(self, head: int, max_bytes: int) -> None:
        self.opened = head
        """Where the log ended when this began."""
        self.head = head
        self._floors = {ALL_TENANTS: head}
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
        by_tenant: dict[str, list[Appended]] = {}
        for each in batch:
            by_tenant.setdefault(each.tenant, []).append(each)
            self._bytes += len(each.record.sized)
        self._all.extend(batch)
        for tenant, events in by_tenant.items():
            self._lanes.setdefault(tenant, _Lane()).extend(events)
        self.head = batch[-1].record.seq
        while self._bytes > self._max_bytes:
            self._drop_first()
        for tenant in (*by_tenant, ALL_TENANTS):
            for listener in tuple(self._listeners.get(tenant, ())):
                listener()

    def _drop_first(self) -> None:
        first = self._all.start
        tenant = self._all.tenants[first]
        self._floors[tenant] = self._floors[ALL_TENANTS] = self._all.seqs[first]
        self._bytes -= len(self._all.sized[first])
        self._all.drop_first()
        lane = self._lanes[tenant]
        lane.drop_first()
        if not lane.seqs:
            del self._lanes[tenant]

    def floor(self, tenant: str) -> int | None:
        """The place after which the tenant's events are here; None where that is not known: see `begin`."""
        return self._floors.get(tenant)

    def begin(self, tenant: str, last: int) -> None:
        """Know the tenant's last place up to `opened`; what has come and gone since goes before it."""
        self._floors.setdefault(tenant, last)

    def last(self, tenant: str) -> int:
        """The place of the tenant's newest event. Its floor is known."""
        lane = self._lane(tenant)
        return lane.seqs[-1] if lane is not None else self._floors[tenant]

    def read(self, tenant: str, after: int, wanted: Filter, bounds: PageBounds) -> Page:
        """The next events of the tenant after a place that is not before its floor."""
        lane = self._lane(tenant)
        return lane.read(after, wanted, bounds) if lane is not None else Page((), self._floors[tenant])

    def _lane(self, tenant: str) -> _Lane | None:
        if tenant == ALL_TENANTS:
            return self._all if self._all.seqs else None
        return self._lanes.get(tenant)

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
