"""Runs one consumer group: takes events from the log as its workers have room, and leases them out."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from autodev_gateway import metrics
from autodev_gateway.event_log import ALL_EVENTS, EventLog, Filter, PageBounds, Record
from autodev_gateway.event_log.gaps import Gaps
from autodev_gateway.groups.ledger import Lease, Ledger
from autodev_gateway.groups.store import ServedElsewhere, Tenure

log = logging.getLogger(__name__)

EVENTS_AT_ONCE = 256
MAX_UNSETTLED = 10_000
MAX_IN_FLIGHT = 16
"""A worker's that names no number, as `LEASE_S` is."""
LEASE_S = 30.0
MESSAGE_BYTES = 1024 * 1024
"""Of the deliveries that a worker is given at once."""
OUTBOX_BYTES = 2 * 1024 * 1024
"""A worker for which so much waits gets no more."""
SUPPOSED_BYTES = 64 * 1024
"""The size of an event that has to be read again, as long as it is not known."""
PAGE_BYTES = 1024 * 1024
RETRY_S = 1.0
NAMED_GAPS = 10


class Delivery(NamedTuple):
    """An event on its way to a worker."""

    lease: Lease
    record: Record


@dataclass(eq=False)
class Worker:
    """One worker's connection. `wake` is set when there is something in `outbox`."""

    number: int
    max_in_flight: int
    lease_s: float
    outbox: deque[Delivery] = field(default_factory=deque)
    room_bytes: int = OUTBOX_BYTES
    wake: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, delivery: Delivery) -> None:
        """Have a delivery sent."""
        self.outbox.append(delivery)
        self.room_bytes -= len(delivery.record.sized)
        self.wake.set()

    def pop(self) -> Delivery:
        """The next delivery to send."""
        delivery = self.outbox.popleft()
        self.room_bytes += len(delivery.record.sized)
        return delivery


class GroupRunner:
    """One group and its workers."""

    def __init__(
        self,
        tenure: Tenure,
        ledger: Ledger,
        wanted: Filter,
        event_log: EventLog,
        gaps: Gaps,
        changed: Callable[[], None],
    ) -> None:
        self.tenure = tenure
        self.key = tenure.key
        self.ledger = ledger
        self.wanted = wanted
        self._log = event_log
        self._gaps = gaps
        self._changed = changed
        self._workers: list[Worker] = []
        self._numbers = 0
        self._records: dict[int, Record] = {}
        self._wake = asyncio.Event()
        self._ended = False
        self.deserted = asyncio.Event()
        """Set while it has no worker."""
        self.deserted.set()
        self._deserted_since_s = time.monotonic()

    @property
    def deserted_s(self) -> float:
        """For how long it has had no worker; 0 while it has one."""
        return time.monotonic() - self._deserted_since_s if self.deserted.is_set() else 0.0

    def end(self) -> None:
        """The group is served elsewhere from now on: its workers are to join it there."""
        self._ended = True
        for worker in self._workers:
            worker.wake.set()

    def check(self) -> None:
        """Raises Unavailable (GROUP_ELSEWHERE) when the group was ended here."""
        if self._ended:
            raise ServedElsewhere

    @contextmanager
    def worker(self, max_in_flight: int, lease_s: float) -> Iterator[Worker]:
        """A worker that is there within the block. What it holds at the end is delivered again."""
        self._numbers += 1
        worker = Worker(self._numbers, max_in_flight, lease_s)
        self._workers.append(worker)
        self.deserted.clear()
        metrics.WORKERS.inc()
        self._touch()
        try:
            yield worker
        finally:
            metrics.WORKERS.dec()
            self._workers.remove(worker)
            self.ledger.leave(worker.number, time.monotonic())
            if not self._workers:
                self._deserted_since_s = time.monotonic()
                self.deserted.set()
            self._touch()

    def idle(self, worker: Worker) -> bool:
        """Whether the worker holds nothing."""
        return self.ledger.held_by(worker.number) == 0

    def take(self, worker: Worker, size_bytes: int) -> list[Delivery]:
        """What is to be sent to the worker now. What waited for longer than its lease is left out."""
        taken: list[Delivery] = []
        if worker.room_bytes <= 0:
            # From now on it may have more.
            self._wake.set()
        while worker.outbox and size_bytes > 0:
            delivery = worker.pop()
            if self.ledger.holds(worker.number, delivery.lease.delivery_id):
                taken.append(delivery)
                size_bytes -= len(delivery.record.sized)
        return taken

    def acknowledge(self, worker: Worker, delivery_ids: Iterable[str]) -> None:
        """The worker has done these."""
        done = self.ledger.acknowledge(worker.number, delivery_ids)
        metrics.DELIVERIES.labels("acknowledged").inc(done)
        self._touch()

    def reject(self, worker: Worker, delivery_id: str, error: str, retry_s: float | None) -> None:
        """The worker could not do this. Of the error, what no database stores is left out."""
        told = error.replace("\0", "").encode(errors="replace").decode()
        if self.ledger.reject(worker.number, delivery_id, told, retry_s, time.monotonic()):
            metrics.DELIVERIES.labels("rejected").inc()
        self._touch()

    def extend(self, worker: Worker, delivery_ids: Iterable[str]) -> None:
        """The worker needs longer for these."""
        self.ledger.extend(worker.number, delivery_ids, time.monotonic())
        self._touch()

    def readmit(self, seqs: Iterable[int]) -> None:
        """Deliver dead letters again."""
        self.ledger.readmit(seqs)
        self._touch()

    def want(self, wanted: Filter) -> None:
        """Take and deliver only these events from now on."""
        self.wanted = wanted
        self._records.clear()

    async def run(self) -> None:
        """Keep the workers busy, for ever."""
        with self._log.listening(self.key.tenant, self._wake.set):
            while True:
                self._wake.clear()
                try:
                    again = await self._step()
                except Exception:
                    # The group's workers have nobody else: whatever it was, go on.
                    log.exception("group %s: events could not be delivered", self.key.name)
                    await asyncio.sleep(RETRY_S)
                    continue
                if not again:
                    await self._wait()

    async def _step(self) -> bool:
        self.ledger.advance(time.monotonic())
        taken = await self._take_from_log()
        leases = self._lease()
        if leases:
            try:
                await self._send(leases)
            except Exception:
                for lease in leases:
                    self.ledger.recall(lease)
                raise
        if self.ledger.urgent:
            self._changed()
        # What is left is for a worker that would have got less than it has room for.
        return taken or bool(leases and self.ledger.ready)

    def _touch(self) -> None:
        self._wake.set()
        self._changed()

    def _free(self, worker: Worker) -> int:
        if worker.room_bytes <= 0:
            return 0
        # A worker that does not read gets no more, also when the leases of what waits for it have passed.
        return worker.max_in_flight - max(self.ledger.held_by(worker.number), len(worker.outbox))

    async def _take_from_log(self) -> bool:
        """Take what the workers have room for. Returns whether there may be more."""
        free = [(worker, events) for worker in self._workers if (events := self._free(worker)) > 0]
        wanted = sum(events for _, events in free) - self.ledger.ready
        wanted = min(wanted, EVENTS_AT_ONCE, MAX_UNSETTLED - self.ledger.unsettled)
        room_bytes = sum(worker.room_bytes for worker, _ in free)
        room_bytes -= sum(len(record.sized) for record in self._records.values())
        if wanted <= 0 or room_bytes <= 0:
            return False
        position = self.ledger.position
        bounds = PageBounds(wanted, min(room_bytes, PAGE_BYTES))
        page = await self._log.read_kept(self.key.tenant, position, self.wanted, bounds)
        self._tell_gaps(position)
        self._records.update((record.seq, record) for record in page.records)
        self.ledger.admit((record.seq for record in page.records), page.through)
        return bool(page.records)

    def _tell_gaps(self, position: int) -> None:
        """Workers cannot resume elsewhere: what is gone is gone for the group, and the operator is told."""
        if gaps := self._gaps.after(position):
            metrics.GROUP_GAPS.inc(len(gaps))
            named = ", ".join(sorted(gaps)[:NAMED_GAPS])
            log.warning(
                "group %s: events that it had not taken are past retention, of %d tenants: %s%s",
                self.key.name,
                len(gaps),
                named,
                ", ..." if len(gaps) > NAMED_GAPS else "",
            )

    async def _tell_lost(self, seqs: Sequence[int]) -> None:
        """Of events that are not delivered, some may be there and not wanted; the operator is told of the others."""
        kept = await self._log.at(self.key.tenant, seqs, ALL_EVENTS)
        if lost := len(seqs) - len(kept):
            metrics.GROUP_GAPS.inc()
            log.warning("group %s: %d events that it had taken and not settled are gone", self.key.name, lost)

    def _lease(self) -> list[Lease]:
        """Share what is ready among the workers, evenly where it is not enough for all."""
        leases: list[Lease] = []
        free = [(worker, room) for worker in self._workers if (room := self._free(worker)) > 0]
        # Whoever is first now is last next time.
        self._workers = self._workers[1:] + self._workers[:1]
        for index, (worker, room) in enumerate(free):
            share = -(-self.ledger.ready // (len(free) - index))
            fits = self._fitting(worker.room_bytes)
            leases += self.ledger.lease(worker.number, min(room, share), worker.lease_s, time.monotonic(), fits)
        return leases

    def _fitting(self, room_bytes: int) -> Callable[[int], bool]:
        """Whether there is room for one event more, after those that it was asked of before."""

        def fits(seq: int) -> bool:
            nonlocal room_bytes
            fitting = room_bytes > 0
            room_bytes -= len(self._records[seq].sized) if seq in self._records else SUPPOSED_BYTES
            return fitting

        return fits

    async def _send(self, leases: list[Lease]) -> None:
        records = {lease.seq: record for lease in leases if (record := self._records.pop(lease.seq, None)) is not None}
        if missing := [lease.seq for lease in leases if lease.seq not in records]:
            records |= {record.seq: record for record in await self._log.at(self.key.tenant, missing, self.wanted)}
        if absent := [seq for seq in missing if seq not in records]:
            await self._tell_lost(absent)
        workers = {worker.number: worker for worker in self._workers}
        for lease in leases:
            record = records.get(lease.seq)
            worker = workers.get(lease.worker)
            if record is None:
                # It is past retention, or of a kind that the group no longer wants.
                self.ledger.drop(lease)
            elif worker is not None and worker.room_bytes > 0:
                worker.put(Delivery(lease, record))
            else:
                # It is larger than supposed, or the worker has left.
                self.ledger.recall(lease)
        metrics.DELIVERIES.labels("leased").inc(len(leases))

    async def _wait(self) -> None:
        until_s = self.ledger.next_time()
        timeout_s = None if until_s is None else max(0.0, until_s - time.monotonic())
        try:
            async with asyncio.timeout(timeout_s):
                await self._wake.wait()
        except TimeoutError:
            return
