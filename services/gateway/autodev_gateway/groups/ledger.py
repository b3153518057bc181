"""The rules of a consumer group, without a clock, a database or a connection: who holds which event until when."""

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

MAX_FAILURES = 5
MAX_DELIVERIES = 20
"""Of which some a worker's end cut short: machines are restarted; but an event may also end every worker it meets."""
FIRST_RETRY_S = 1.0
FIRST_CUT_RETRY_S = 0.1
LONGEST_CUT_RETRY_S = 30.0
SPARE_EXPIRIES = 64


@dataclass(slots=True)
class Entry:
    """An event that the group has taken from the log and not settled.

    `attempts` counts its deliveries, `failures` those that a worker rejected or did not settle in time.
    """

    seq: int
    attempts: int = 0
    failures: int = 0
    error: str = ""

    @property
    def cut_wait_s(self) -> float:
        """How long it waits when a delivery was cut short.

        Twice as long each time: one that ends its workers does not end them all in a moment, and one whose workers are
        killed again and again is not given up within minutes.
        """
        cut = self.attempts - self.failures
        return 0.0 if cut <= 1 else min(LONGEST_CUT_RETRY_S, FIRST_CUT_RETRY_S * 2.0 ** (cut - 2))


class Lease(NamedTuple):
    """An event in a worker's hands until a time."""

    delivery_id: str
    worker: int
    seq: int
    attempt: int
    lease_s: float
    until_s: float


class DeadLetter(NamedTuple):
    """An event that was tried too often."""

    seq: int
    attempts: int
    error: str


@dataclass(slots=True)
class Changes:
    """What is to be stored of a group. `entries` hold the unsettled ones, `settled` those that are no more."""

    position: int
    entries: list[Entry] = field(default_factory=list)
    settled: list[int] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)
    readmitted: list[int] = field(default_factory=list)
    """Dead letters that are none any more, unless they are among `dead` again."""


class Ledger:
    """A group's unsettled events. Times are seconds of any clock that does not go back."""

    def __init__(self, position: int, entries: Iterable[Entry] = (), now_s: float = 0.0) -> None:
        self.position = position
        """Every event of the group up to here is settled, or an entry."""
        self._entries = {entry.seq: entry for entry in entries}
        self._ready: list[int] = []
        # Whoever had them may have been cut short by them.
        self._waiting = sorted((now_s + entry.cut_wait_s, entry.seq) for entry in self._entries.values())
        self._leases: dict[str, Lease] = {}
        self._expiries: list[tuple[float, str]] = []
        self._held: dict[int, set[str]] = {}
        self._changed: set[int] = set()
        self._dead: list[DeadLetter] = []
        self._readmitted: set[int] = set()
        self._stored_position = position
        self._given = 0
        self.advance(now_s)

    @property
    def unsettled(self) -> int:
        """How many events are taken and not settled."""
        return len(self._entries)

    @property
    def ready(self) -> int:
        """How many events could be leased now."""
        return len(self._ready)

    def admit(self, seqs: Iterable[int], position: int) -> None:
        """Take events from the log, all the group's up to `position`."""
        for seq in seqs:
            self._entries[seq] = Entry(seq)
            heapq.heappush(self._ready, seq)
            self._changed.add(seq)
        self.position = position

    def readmit(self, seqs: Iterable[int]) -> None:
        """Take dead letters back, with their tries counted anew; not again those of which that is yet to be stored."""
        taken = set(seqs) - self._readmitted
        self._readmitted |= taken
        # What was stored without an answer is to be stored yet, though it is dead no more.
        self._dead = [letter for letter in self._dead if letter.seq not in taken]
        self.admit(sorted(taken - self._entries.keys()), self.position)

    def lease(
        self, worker: int, count: int, lease_s: float, now_s: float, fits: Callable[[int], bool] = lambda _: True
    ) -> list[Lease]:
        """Give a worker the oldest events that are ready, up to the first for which it has no room."""
        leases: list[Lease] = []
        while self._ready and len(leases) < count and fits(self._ready[0]):
            entry = self._entries[heapq.heappop(self._ready)]
            entry.attempts += 1
            self._given += 1
            delivery_id = f"{entry.seq:x}-{self._given:x}"
            lease = Lease(delivery_id, worker, entry.seq, entry.attempts, lease_s, now_s + lease_s)
            self._hold(lease)
            self._changed.add(entry.seq)
            leases.append(lease)
        return leases

    def acknowledge(self, worker: int, delivery_ids: Iterable[str]) -> int:
        """Settle deliveries as done. Returns how many were; leases that the worker does not hold are passed over."""
        held = [lease for each in delivery_ids if (lease := self._release(worker, each)) is not None]
        for lease in held:
            self._settle(lease.seq)
        return len(held)

    def reject(self, worker: int, delivery_id: str, error: str, retry_s: float | None, now_s: float) -> bool:
        """Settle a delivery as failed; it comes again after `retry_s`, or else the longer the more it was tried."""
        lease = self._release(worker, delivery_id)
        if lease is None:
            return False
        if self._failed(lease.seq, error):
            failures = self._entries[lease.seq].failures
            wait_s = FIRST_RETRY_S * 2 ** (failures - 1) if retry_s is None else retry_s
            heapq.heappush(self._waiting, (now_s + wait_s, lease.seq))
        return True

    def extend(self, worker: int, delivery_ids: Iterable[str], now_s: float) -> None:
        """Start leases anew."""
        for each in delivery_ids:
            lease = self._leases.get(each)
            if lease is not None and lease.worker == worker:
                self._hold(lease._replace(until_s=now_s + lease.lease_s))

    def drop(self, lease: Lease) -> None:
        """Settle an event that is no longer in the log, or no longer wanted."""
        if self._release(lease.worker, lease.delivery_id) is not None:
            self._settle(lease.seq)

    def recall(self, lease: Lease) -> None:
        """Take back an event that was never sent to the worker, which is no try of it."""
        if self._release(lease.worker, lease.delivery_id) is not None:
            self._entries[lease.seq].attempts -= 1
            heapq.heappush(self._ready, lease.seq)
            self._changed.add(lease.seq)

    def leave(self, worker: int, now_s: float) -> None:
        """A worker is gone: what it held is delivered again; at once, unless that has happened to it before."""
        for delivery_id in sorted(self._held.get(worker, ())):
            lease = self._leases[delivery_id]
            self._release(worker, delivery_id)
            if self._again(lease.seq, "the worker was gone before it settled the delivery"):
                heapq.heappush(self._waiting, (now_s + self._entries[lease.seq].cut_wait_s, lease.seq))

    def advance(self, now_s: float) -> None:
        """Let leases run out and waits end."""
        while self._expiries and self._expiries[0][0] <= now_s:
            until_s, delivery_id = heapq.heappop(self._expiries)
            lease = self._leases.get(delivery_id)
            # A lease that was extended has a later entry in the heap.
            if lease is not None and lease.until_s <= until_s:
                self._release(lease.worker, delivery_id)
                if self._failed(lease.seq, f"the lease of {lease.lease_s:g} s passed before the delivery was settled"):
                    heapq.heappush(self._ready, lease.seq)
        while self._waiting and self._waiting[0][0] <= now_s:
            heapq.heappush(self._ready, heapq.heappop(self._waiting)[1])

    def next_time(self) -> float | None:
        """When `advance` has something to do; None: not by time alone."""
        return min((times[0][0] for times in (self._expiries, self._waiting) if times), default=None)

    def holds(self, worker: int, delivery_id: str) -> bool:
        """Whether the worker holds this lease."""
        return delivery_id in self._held.get(worker, ())

    def held_by(self, worker: int) -> int:
        """How many leases the worker holds."""
        return len(self._held.get(worker, ()))

    @property
    def urgent(self) -> bool:
        """Whether there are changes that a crash should not undo; a position alone is found again."""
        return bool(self._changed or self._dead or self._readmitted)

    def take_changes(self) -> Changes | None:
        """What differs from what was stored; None: nothing. The caller stores it, or gives it back."""
        if not self.urgent and self.position == self._stored_position:
            return None
        changes = Changes(self.position, dead=self._dead, readmitted=sorted(self._readmitted))
        for seq in self._changed:
            entry = self._entries.get(seq)
            if entry is None:
                changes.settled.append(seq)
            else:
                changes.entries.append(entry)
        self._changed, self._dead, self._readmitted, self._stored_position = set(), [], set(), self.position
        return changes

    def give_back(self, changes: Changes) -> None:
        """Changes could not be stored: they are to be stored yet."""
        self._changed |= {entry.seq for entry in changes.entries} | set(changes.settled)
        self._dead = changes.dead + self._dead
        self._readmitted |= set(changes.readmitted)
        self._stored_position = -1

    def _hold(self, lease: Lease) -> None:
        self._leases[lease.delivery_id] = lease
        self._held.setdefault(lease.worker, set()).add(lease.delivery_id)
        heapq.heappush(self._expiries, (lease.until_s, lease.delivery_id))
        if len(self._expiries) > SPARE_EXPIRIES + 2 * len(self._leases):
            # Most are of leases that were settled: long leases would otherwise leave a trail of them.
            self._expiries = sorted((each.until_s, each.delivery_id) for each in self._leases.values())

    def _release(self, worker: int, delivery_id: str) -> Lease | None:
        if not self.holds(worker, delivery_id):
            return None
        held = self._held[worker]
        held.discard(delivery_id)
        if not held:
            del self._held[worker]
        return self._leases.pop(delivery_id)

    def _settle(self, seq: int) -> None:
        del self._entries[seq]
        self._changed.add(seq)

    def _failed(self, seq: int, error: str) -> bool:
        """Note a failed try. Returns whether there is another."""
        self._entries[seq].failures += 1
        return self._again(seq, error)

    def _again(self, seq: int, error: str) -> bool:
        """Note how a delivery ended. Returns whether there is another, else the event is a dead letter."""
        entry = self._entries[seq]
        entry.error = error
        self._changed.add(seq)
        if entry.failures < MAX_FAILURES and entry.attempts < MAX_DELIVERIES:
            return True
        self._dead.append(DeadLetter(seq, entry.attempts, error))
        self._settle(seq)
        return False
