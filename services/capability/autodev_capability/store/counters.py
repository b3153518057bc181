"""What scripts of reservations share: counters, locked in one order before anything is decided, and rows."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from autodev_capability.granting import Count
from autodev_capability.quota import CounterKey, Reservation, ReservationState
from autodev_runtime.scripts import Dialect, Script, Statement, array

RESERVATION = "id, request_id, agent_id, capability, holder, day, state, expires_at, used, quota"
"""The columns that `reservation_from` reads."""

ADD_COUNTERS = """
INSERT INTO quota_counters (tenant_id, capability, holder, day, granted, announced)
SELECT $1, value ->> 0, value ->> 1, value ->> 2, 0, FALSE FROM EACH($2) WHERE TRUE ON CONFLICT DO NOTHING
"""
LAPSE = """
UPDATE reservations SET state = 'lapsed'
WHERE tenant_id = $1 AND capability = $2 AND day = $3 AND holder IN (SELECT value ->> 0 FROM EACH($4))
    AND state = 'reserved' AND expires_at <= MOMENT($5)
RETURNING holder
"""
COUNTS = """
SELECT holder, granted, announced_limit FROM quota_counters
WHERE tenant_id = $1 AND capability = $2 AND day = $3 AND holder IN (SELECT value ->> 0 FROM EACH($4))
ORDER BY holder FOR UPDATE
"""
SET_COUNTERS = """
INSERT INTO quota_counters (tenant_id, capability, holder, day, granted, announced, announced_limit)
SELECT $1, value ->> 0, value ->> 1, value ->> 2, CAST(value ->> 3 AS integer), value ->> 4 IS NOT NULL,
    CAST(value ->> 4 AS integer)
FROM EACH($2) WHERE TRUE
ON CONFLICT (tenant_id, capability, holder, day)
DO UPDATE SET granted = excluded.granted, announced = excluded.announced, announced_limit = excluded.announced_limit
"""


@dataclass(frozen=True, slots=True)
class Counters:
    """A tenant's counts of uses, at a moment."""

    tenant: str
    now: datetime
    dialect: Dialect

    def standing(self, counters: Collection[CounterKey]) -> Script[dict[CounterKey, Count]]:
        """What stands, once lapsed reservations gave their uses back. Nobody else changes it until this ends."""
        if counters and not self.dialect.is_sqlite:
            # What is not there cannot be locked.
            yield Statement(ADD_COUNTERS, (self.tenant, array(sorted(counters))))
        counts = dict.fromkeys(counters, Count())
        given_back: Counter[CounterKey] = Counter()
        # In one order, or two could wait for each other.
        for capability, day in sorted({(counter.capability, counter.day) for counter in counters}):
            kept = {each.holder: each for each in counters if (each.capability, each.day) == (capability, day)}
            which = self.tenant, capability, day, names(sorted(kept))
            lapsed = yield Statement(LAPSE, (*which, self.dialect.written(self.now)))
            given_back.update(kept[holder] for (holder,) in lapsed)
            for holder, granted, announced in (yield Statement(COUNTS, which)):
                counts[kept[holder]] = Count(granted - given_back[kept[holder]], announced)
        if given_back:
            yield from self.write(counts, given_back)
        return counts

    def write(self, counts: Mapping[CounterKey, Count], changed: Iterable[CounterKey]) -> Script[None]:
        """Keep what stands of the counters that changed."""
        rows = [(*counter, counts[counter].granted, counts[counter].announced) for counter in changed]
        yield Statement(SET_COUNTERS, (self.tenant, array(rows)))


def reservation_from(row: Sequence[Any], dialect: Dialect) -> Reservation:
    """A row of `RESERVATION`."""
    identifier, request_id, agent_id, capability, holder, day, state, expires_at, used, limit = row
    return Reservation(
        id=identifier,
        request_id=request_id,
        agent_id=agent_id,
        counter=CounterKey(capability, holder, day),
        state=ReservationState(state),
        expires_at=dialect.read(expires_at),
        used=used,
        limit=limit,
    )


def names(texts: Iterable[str]) -> str:
    """Texts as a parameter of EACH."""
    return array([(text,) for text in texts])
