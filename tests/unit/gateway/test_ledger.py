"""The rules of a consumer group."""

from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from autodev_gateway.groups.ledger import (
    LONGEST_CUT_RETRY_S,
    MAX_DELIVERIES,
    MAX_FAILURES,
    Changes,
    Entry,
    Lease,
    Ledger,
)

ONE, OTHER = 1, 2
LEASE_S = 30.0


def ledger_of(*seqs: int) -> Ledger:
    ledger = Ledger(0)
    ledger.admit(seqs, max(seqs))
    return ledger


def one_lease(ledger: Ledger, worker: int = ONE, now_s: float = 0.0) -> Lease:
    (lease,) = ledger.lease(worker, 1, LEASE_S, now_s)
    return lease


def saved(ledger: Ledger) -> Changes:
    changes = ledger.take_changes()
    assert changes is not None
    return changes


def ready_at(ledger: Ledger, now_s: float) -> float:
    """When there is something to lease."""
    ledger.advance(now_s)
    while not ledger.ready:
        now_s = ledger.next_time() or now_s
        ledger.advance(now_s)
    return now_s


def test_an_event_that_is_recalled_is_ready_and_was_not_tried() -> None:
    ledger = ledger_of(1)
    for _ in range(MAX_DELIVERIES + 1):
        ledger.recall(one_lease(ledger))
    ledger.advance(2 * LEASE_S)
    lease = one_lease(ledger)
    assert (lease.seq, lease.attempt) == (1, 1)
    ledger.acknowledge(ONE, [lease.delivery_id])
    ledger.recall(lease)
    assert ledger.unsettled == 0


def test_events_are_leased_oldest_first_and_to_one_worker_each() -> None:
    ledger = ledger_of(3, 1, 2)
    assert [lease.seq for lease in ledger.lease(ONE, 2, LEASE_S, 0)] == [1, 2]
    assert [lease.seq for lease in ledger.lease(OTHER, 2, LEASE_S, 0)] == [3]


def test_a_worker_gets_events_up_to_the_first_for_which_it_has_no_room() -> None:
    ledger = ledger_of(1, 2, 3)
    assert [lease.seq for lease in ledger.lease(ONE, 3, LEASE_S, 0, lambda seq: seq != 2)] == [1]
    assert [lease.seq for lease in ledger.lease(OTHER, 3, LEASE_S, 0)] == [2, 3]
    assert (ledger.held_by(ONE), ledger.held_by(OTHER)) == (1, 2)


def test_an_event_that_is_no_longer_in_the_log_is_settled_by_whoever_holds_it() -> None:
    ledger = ledger_of(1, 2)
    lost = one_lease(ledger)
    ledger.advance(LEASE_S)
    ledger.drop(lost)
    assert ledger.unsettled == 2
    ledger.drop(one_lease(ledger, OTHER, LEASE_S))
    assert (ledger.unsettled, ledger.ready) == (1, 1)
    assert saved(ledger).settled == [1]


def test_an_acknowledged_event_is_settled() -> None:
    ledger = ledger_of(1)
    lease = one_lease(ledger)
    assert ledger.acknowledge(ONE, [lease.delivery_id]) == 1
    assert ledger.unsettled == 0
    assert ledger.acknowledge(ONE, [lease.delivery_id]) == 0


def test_a_worker_settles_only_what_it_holds() -> None:
    ledger = ledger_of(1)
    lease = one_lease(ledger)
    assert ledger.acknowledge(OTHER, [lease.delivery_id]) == 0
    assert not ledger.reject(OTHER, lease.delivery_id, "no", None, 0)
    assert ledger.unsettled == 1
    assert ledger.reject(ONE, lease.delivery_id, "no", None, 0)


@pytest.mark.parametrize(("attempt", "wait_s"), [(1, 1), (2, 2), (3, 4), (4, 8)])
def test_a_rejected_event_waits_twice_as_long_each_time(attempt: int, wait_s: float) -> None:
    ledger = Ledger(1, [Entry(1, attempts=attempt - 1, failures=attempt - 1)])
    ledger.reject(ONE, one_lease(ledger).delivery_id, "boom", None, 100)
    ledger.advance(100 + wait_s - 0.001)
    assert ledger.ready == 0
    ledger.advance(100 + wait_s)
    assert ledger.ready == 1


def test_the_worker_may_say_how_long_to_wait() -> None:
    ledger = ledger_of(1)
    ledger.reject(ONE, one_lease(ledger).delivery_id, "later", 600, 0)
    ledger.advance(599.9)
    assert ledger.ready == 0
    ledger.advance(600)
    assert ledger.ready == 1


def test_a_lease_that_passes_makes_the_event_ready_again() -> None:
    ledger = ledger_of(1)
    lease = one_lease(ledger)
    ledger.advance(LEASE_S)
    assert not ledger.holds(ONE, lease.delivery_id)
    again = one_lease(ledger, OTHER, LEASE_S)
    assert (again.seq, again.attempt) == (1, 2)
    assert ledger.acknowledge(ONE, [lease.delivery_id]) == 0


def test_an_extended_lease_starts_anew() -> None:
    ledger = ledger_of(1)
    lease = one_lease(ledger)
    ledger.extend(ONE, [lease.delivery_id], 20)
    ledger.advance(LEASE_S)
    assert ledger.holds(ONE, lease.delivery_id)
    ledger.advance(20 + LEASE_S)
    assert not ledger.holds(ONE, lease.delivery_id)


def test_nobody_extends_the_lease_of_another() -> None:
    ledger = ledger_of(1)
    lease = one_lease(ledger)
    ledger.extend(OTHER, [lease.delivery_id], 20)
    ledger.advance(LEASE_S)
    assert not ledger.holds(ONE, lease.delivery_id)


def test_where_nothing_waits_and_nothing_is_held_time_alone_does_nothing() -> None:
    assert Ledger(0).next_time() is None
    assert ledger_of(1).next_time() is None


def test_a_short_lease_passes_before_a_long_one_however_many_were_settled_meanwhile() -> None:
    ledger = ledger_of(1, 2)
    ledger.lease(ONE, 1, 1000, 0)
    (short,) = ledger.lease(ONE, 1, 10, 0)
    for seq in range(3, 500):
        ledger.admit([seq], seq)
        ledger.acknowledge(OTHER, [lease.delivery_id for lease in ledger.lease(OTHER, 1, 5000, 0)])
    assert ledger.next_time() == 10
    ledger.advance(10)
    assert not ledger.holds(ONE, short.delivery_id)


def test_leases_that_were_settled_long_before_they_pass_take_no_room() -> None:
    ledger = Ledger(0)
    for seq in range(1, 2000):
        ledger.admit([seq], seq)
        ledger.acknowledge(ONE, [one_lease(ledger).delivery_id])
    assert len(ledger._expiries) < 100


def test_what_a_lost_worker_held_is_ready_at_once() -> None:
    ledger = ledger_of(1, 2, 3)
    ledger.lease(ONE, 2, LEASE_S, 0)
    ledger.leave(ONE, 0)
    ledger.advance(0)
    assert [lease.seq for lease in ledger.lease(OTHER, 3, LEASE_S, 0)] == [1, 2, 3]


@pytest.mark.parametrize("how", ["rejected", "not settled in time"])
def test_the_fifth_failure_makes_a_dead_letter_with_its_error(how: str) -> None:
    ledger = ledger_of(1)
    for attempt in range(1, 6):
        assert ledger.unsettled == 1, f"given up before failure {attempt}"
        now_s = 100.0 * attempt
        lease = one_lease(ledger, now_s=now_s)
        if how == "rejected":
            ledger.reject(ONE, lease.delivery_id, f"error {attempt}", 0, now_s)
        ledger.advance(now_s + LEASE_S)
    changes = ledger.take_changes()
    assert changes is not None
    ((seq, attempts, error),) = changes.dead
    assert (seq, attempts) == (1, 5)
    assert error == "error 5" if how == "rejected" else "lease" in error
    assert ledger.unsettled == 0


def test_of_a_lease_that_passed_nobody_acknowledges_what_another_holds_now() -> None:
    ledger = ledger_of(1)
    late = one_lease(ledger)
    ledger.advance(LEASE_S)
    held = one_lease(ledger, OTHER, LEASE_S)
    for worker, delivery_id in ((ONE, late.delivery_id), (ONE, held.delivery_id), (OTHER, late.delivery_id)):
        assert ledger.acknowledge(worker, [delivery_id]) == 0
        assert not ledger.reject(worker, delivery_id, "late", None, LEASE_S)
    assert ledger.holds(OTHER, held.delivery_id)
    assert ledger.acknowledge(OTHER, [held.delivery_id]) == 1


def test_what_is_cut_short_again_and_again_waits_twice_as_long_each_time() -> None:
    ledger = ledger_of(1)
    now_s, waits_s = 0.0, []
    for _ in range(6):
        one_lease(ledger, now_s=now_s)
        ledger.leave(ONE, now_s)
        waits_s.append(ready_at(ledger, now_s) - now_s)
        now_s += waits_s[-1]
    assert waits_s == pytest.approx([0, 0.1, 0.2, 0.4, 0.8, 1.6])


def test_workers_that_end_do_not_make_a_dead_letter_and_one_that_ends_them_all_is() -> None:
    ledger = ledger_of(1)
    now_s = 0.0
    for attempt in range(1, MAX_DELIVERIES):
        assert one_lease(ledger, now_s=now_s).attempt == attempt
        ledger.leave(ONE, now_s)
        assert ledger.unsettled == 1
        now_s = ready_at(ledger, now_s)
    one_lease(ledger, now_s=now_s)
    ledger.leave(ONE, now_s)
    assert 300 < now_s < 330
    changes = ledger.take_changes()
    assert changes is not None
    assert [(letter.seq, letter.attempts) for letter in changes.dead] == [(1, MAX_DELIVERIES)]


def test_what_several_gateways_were_cut_short_with_waits_when_it_is_loaded() -> None:
    ledger = Ledger(3, [Entry(1), Entry(2, attempts=1), Entry(3, attempts=3)], now_s=100)
    assert [lease.seq for lease in ledger.lease(ONE, 3, LEASE_S, 100)] == [1, 2]
    assert ready_at(ledger, 100) == pytest.approx(100.2)


def test_what_waits_when_it_is_loaded_holds_up_no_other() -> None:
    ledger = Ledger(2, [Entry(1, attempts=3), Entry(2)], now_s=100)
    assert [lease.seq for lease in ledger.lease(ONE, 2, LEASE_S, 100)] == [2]


def test_a_ledger_that_is_loaded_counts_only_what_failed() -> None:
    ledger = Ledger(1, [Entry(1, attempts=MAX_FAILURES + 1, failures=MAX_FAILURES - 1)])
    ledger.advance(1)
    ledger.leave(one_lease(ledger).worker, 0)
    ledger.advance(LONGEST_CUT_RETRY_S)
    assert ledger.unsettled == 1
    ledger.reject(ONE, one_lease(ledger).delivery_id, "boom", 0, 0)
    assert ledger.unsettled == 0


def test_an_event_that_comes_and_goes_between_two_savings_needs_no_row() -> None:
    ledger = ledger_of(1)
    ledger.acknowledge(ONE, [one_lease(ledger).delivery_id])
    changes = ledger.take_changes()
    assert changes is not None
    assert (changes.position, changes.entries, changes.settled) == (1, [], [1])
    assert ledger.take_changes() is None


def test_each_step_of_a_delivery_is_to_be_stored_at_once() -> None:
    """A crash must not undo a try: else an event that ends every gateway ends them for ever."""
    ledger = ledger_of(1)
    saved(ledger)
    steps: list[tuple[Callable[[], object], tuple[int, int, str] | None]] = [
        (lambda: ledger.recall(one_lease(ledger)), (0, 0, "")),
        (lambda: one_lease(ledger), (1, 0, "")),
        (lambda: ledger.leave(ONE, 0), (1, 0, "the worker was gone before it settled the delivery")),
        (lambda: ledger.advance(0), None),
        (lambda: one_lease(ledger), (2, 0, "the worker was gone before it settled the delivery")),
        (lambda: ledger.advance(LEASE_S), (2, 1, "the lease of 30 s passed before the delivery was settled")),
    ]
    for step, stored in steps:
        step()
        assert ledger.urgent is (stored is not None)
        if stored is not None:
            (entry,) = saved(ledger).entries
            assert (entry.attempts, entry.failures, entry.error) == stored


def test_a_recalled_delivery_that_was_stored_is_stored_as_none() -> None:
    ledger = ledger_of(1)
    lease = one_lease(ledger)
    assert [entry.attempts for entry in saved(ledger).entries] == [1]
    ledger.recall(lease)
    assert [entry.attempts for entry in saved(ledger).entries] == [0]


def test_a_position_alone_is_stored_and_is_not_urgent() -> None:
    ledger = Ledger(3)
    assert ledger.take_changes() is None
    ledger.admit([], 7)
    assert not ledger.urgent
    assert saved(ledger).position == 7
    assert ledger.take_changes() is None


def test_a_replay_that_could_not_be_saved_comes_again() -> None:
    ledger = Ledger(1)
    ledger.readmit([1])
    assert ledger.urgent
    ledger.give_back(saved(ledger))
    assert saved(ledger).readmitted == [1]


def test_changes_that_could_not_be_saved_come_again() -> None:
    ledger = ledger_of(1, 2)
    ledger.acknowledge(ONE, [one_lease(ledger).delivery_id])
    changes = ledger.take_changes()
    assert changes is not None
    ledger.give_back(changes)
    again = ledger.take_changes()
    assert again is not None
    assert (again.position, [entry.seq for entry in again.entries], again.settled) == (2, [2], [1])


def test_a_dead_letter_that_was_stored_without_an_answer_and_is_readmitted_is_dead_no_more() -> None:
    ledger = Ledger(1, [Entry(1, attempts=MAX_FAILURES - 1, failures=MAX_FAILURES - 1)])
    ledger.reject(ONE, one_lease(ledger).delivery_id, "boom", 0, 0)
    unanswered = ledger.take_changes()
    assert unanswered is not None
    ledger.give_back(unanswered)
    ledger.readmit([1])
    changes = ledger.take_changes()
    assert changes is not None
    assert (changes.dead, changes.readmitted, [entry.seq for entry in changes.entries]) == ([], [1], [1])


def test_what_was_readmitted_is_not_again_before_it_is_stored() -> None:
    ledger = Ledger(1)
    ledger.readmit([1])
    ledger.acknowledge(ONE, [one_lease(ledger).delivery_id])
    ledger.readmit([1])
    assert ledger.unsettled == 0


class LedgerMachine(RuleBasedStateMachine):
    """Whatever workers do and however time goes, each event ends once, and what was saved says the same."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger(0)
        self.now_s = 0.0
        self.admitted: set[int] = set()
        self.done: set[int] = set()
        self.dead: set[int] = set()
        self.readmitted: set[int] = set()
        self.failed: dict[int, int] = {}
        self.stored: dict[int, int] = {}
        self.leases: list[Lease] = []

    @rule(count=st.integers(1, 5))
    def admit(self, count: int) -> None:
        first = len(self.admitted) + 1
        seqs = range(first, first + count)
        self.admitted |= set(seqs)
        self.ledger.admit(seqs, seqs[-1])

    @rule(worker=st.sampled_from([ONE, OTHER]), count=st.integers(1, 4))
    def lease(self, worker: int, count: int) -> None:
        self.leases += self.ledger.lease(worker, count, LEASE_S, self.now_s)

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def acknowledge(self, data: st.DataObject) -> None:
        lease = data.draw(st.sampled_from(self.leases))
        if self.ledger.acknowledge(lease.worker, [lease.delivery_id]):
            assert lease.seq not in self.done | (self.dead - self.readmitted)
            self.done.add(lease.seq)

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), retry_s=st.none() | st.floats(0, 100))
    def reject(self, data: st.DataObject, retry_s: float | None) -> None:
        lease = data.draw(st.sampled_from(self.leases))
        if self.ledger.reject(lease.worker, lease.delivery_id, "boom", retry_s, self.now_s):
            self.failed[lease.seq] = self.failed.get(lease.seq, 0) + 1

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def extend(self, data: st.DataObject) -> None:
        lease = data.draw(st.sampled_from(self.leases))
        self.ledger.extend(lease.worker, [lease.delivery_id], self.now_s)

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def recall(self, data: st.DataObject) -> None:
        self.ledger.recall(data.draw(st.sampled_from(self.leases)))

    @rule(worker=st.sampled_from([ONE, OTHER]))
    def leave(self, worker: int) -> None:
        self.ledger.leave(worker, self.now_s)
        assert self.ledger.held_by(worker) == 0

    @rule(seconds=st.floats(0, 60))
    def pass_time(self, seconds: float) -> None:
        self.wait(seconds)

    def wait(self, seconds: float) -> None:
        """Let time go, and count the leases that pass."""
        self.now_s += seconds
        held = [lease for lease in self.leases if self.ledger.holds(lease.worker, lease.delivery_id)]
        self.ledger.advance(self.now_s)
        for lease in held:
            if not self.ledger.holds(lease.worker, lease.delivery_id):
                self.failed[lease.seq] = self.failed.get(lease.seq, 0) + 1

    @precondition(lambda self: self.dead)
    @rule(data=st.data())
    def readmit(self, data: st.DataObject) -> None:
        seqs = data.draw(st.sets(st.sampled_from(sorted(self.dead))))
        self.failed |= dict.fromkeys(seqs - self.readmitted, 0)
        self.readmitted |= seqs
        self.ledger.readmit(seqs)

    @rule(stored=st.booleans(), told=st.booleans())
    def save(self, stored: bool, told: bool) -> None:
        changes = self.ledger.take_changes()
        if changes is None:
            return
        if stored:
            self._store(changes)
        if not (stored and told):
            self.ledger.give_back(changes)
        else:
            self.readmitted -= set(changes.readmitted)

    def _store(self, changes: Changes) -> None:
        self.dead -= set(changes.readmitted)
        self.stored |= {entry.seq: entry.attempts for entry in changes.entries}
        for seq in changes.settled:
            self.stored.pop(seq, None)
        for letter in changes.dead:
            assert self.failed.get(letter.seq, 0) == MAX_FAILURES or letter.attempts == MAX_DELIVERIES
            assert letter.seq not in self.done
            self.dead.add(letter.seq)
        assert not self.dead & self.stored.keys() - self.readmitted

    @invariant()
    def nothing_is_lost(self) -> None:
        held = [lease.seq for lease in self.leases if self.ledger.holds(lease.worker, lease.delivery_id)]
        assert len(held) == len(set(held))
        assert self.ledger.unsettled >= len(held) + self.ledger.ready
        assert self.ledger.unsettled <= len(self.admitted - self.done - (self.dead - self.readmitted))

    def teardown(self) -> None:
        self.save(stored=True, told=True)
        assert set(self.stored) == self.admitted - self.done - self.dead
        while self.ledger.unsettled:
            self.wait(1000)
            taken = self.ledger.lease(ONE, 1000, LEASE_S, self.now_s)
            assert self.ledger.acknowledge(ONE, [lease.delivery_id for lease in taken]) == len(taken)
            self.done |= {lease.seq for lease in taken}
        self.save(stored=True, told=True)
        assert self.done | self.dead == self.admitted
        assert not self.done & self.dead


TestLedgerMachine = LedgerMachine.TestCase
TestLedgerMachine.settings = settings(max_examples=60, stateful_step_count=40)
