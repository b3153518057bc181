"""Settling reservations as one script: read and locked, decided in order, written."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from autodev_capability.quota import Reservation, ReservationState, settled
from autodev_capability.store.books import Outcome
from autodev_capability.store.counters import RESERVATION, Counters, names, reservation_from
from autodev_runtime.errors import NotFound
from autodev_runtime.repeating import Conflict
from autodev_runtime.scripts import Dialect, Script, Statement

# COALESCE keeps the tenant's index out of it, by which SQLite would read all that the tenant ever reserved.
_THESE = "COALESCE(tenant_id, '') = $1 AND id IN (SELECT value ->> 0 FROM EACH($2))"
FIND = f"SELECT {RESERVATION} FROM reservations WHERE {_THESE}"
LOCK = f"{FIND} ORDER BY id FOR UPDATE"
SETTLE = f"UPDATE reservations SET state = $3 WHERE {_THESE} AND state = 'reserved'"


@dataclass(frozen=True, slots=True)
class Settlement:
    """A call that makes a reservation final, or gives it back."""

    reservation_id: str
    state: ReservationState


@dataclass(frozen=True, slots=True)
class Settling:
    """A tenant's settlements, in order, at a moment."""

    tenant: str
    asked: Sequence[Settlement]
    now: datetime
    dialect: Dialect

    def script(self) -> Script[list[Outcome]]:
        """Each reservation as it stands afterwards, or why it cannot be settled so. Raises Conflict."""
        before = yield from self._reservations(FIND)
        released = {each.reservation_id for each in self.asked if each.state is ReservationState.RELEASED}
        counters = Counters(self.tenant, self.now, self.dialect)
        # Before the reservations, as who reserves does: else two could wait for each other.
        counts = yield from counters.standing({before[each].counter for each in released if each in before})
        # What has lapsed among them has given its use back by now; and another replica may have settled some.
        before = yield from self._reservations(LOCK)
        outcomes, after = self._decided(before)
        changed = {key: each for key, each in after.items() if each.state is not before[key].state}
        for state in {each.state for each in changed.values()}:
            ids = names(sorted(key for key, each in changed.items() if each.state is state))
            yield Statement(SETTLE, (self.tenant, ids, state.value))
        back = Counter(each.counter for each in changed.values() if each.state is ReservationState.RELEASED)
        if not back.keys() <= counts.keys():
            raise Conflict("the reservation was made anew meanwhile", reason="REQUEST_IN_PROGRESS")
        if back:
            left = {key: replace(counts[key], granted=counts[key].granted - uses) for key, uses in back.items()}
            yield from counters.write(left, left)
        return outcomes

    def _reservations(self, query: str) -> Script[dict[str, Reservation]]:
        rows = yield Statement(query, (self.tenant, names(sorted({each.reservation_id for each in self.asked}))))
        found = [reservation_from(row, self.dialect) for row in rows]
        return {each.id: each for each in found}

    def _decided(self, before: Mapping[str, Reservation]) -> tuple[list[Outcome], dict[str, Reservation]]:
        """The outcomes in order, each after those before it, and the reservations at the end."""
        after = dict(before)
        outcomes: list[Outcome] = []
        for each in self.asked:
            reservation = after.get(each.reservation_id)
            if reservation is None:
                outcomes.append(NotFound("reservation", each.reservation_id))
                continue
            outcome = settled(reservation, each.state, self.now)
            outcomes.append(outcome)
            if isinstance(outcome, Reservation):
                after[outcome.id] = outcome
        return outcomes, after
