"""What scripts of reservations share: counters, locked in one order before anything is decided, and rows."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
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
WHERE state = 'reserved' AND id IN (
    SELECT due.id FROM EACH($2) CROSS JOIN reservations AS due
    WHERE due.tenant_id = $1 AND due.capability = each.value ->> 0 AND due.holder = each.value ->> 1
        AND due.day = each.value ->> 2 AND due.state = 'reserved' AND due.expires_at <= MOMENT($3)
) RETURNING capability, holder, day
"""
COUNTS = """
SELECT counted.capability, counted.holder, counted.day, counted.granted, counted.announced
FROM EACH($2) CROSS JOIN quota_counters AS counted
WHERE counted.tenant_id = $1 AND counted.capability = each.value ->> 0 AND counted.holder = each.value ->> 1
    AND counted.day = each.value ->> 2
ORDER BY counted.capability, counted.holder, counted.day FOR UPDATE OF counted
"""
SET_COUNTERS = """
INSERT INTO quota_counters (tenant_id, capability, holder, day, granted, announced)
SELECT $1, value ->> 0, value ->> 1, value ->> 2, CAST(value ->> 3 AS integer), CAST(value ->> 4 AS boolean)
FROM EACH($2) WHERE TRUE
ON CONFLICT (tenant_id, capability, holder, day)
DO UPDATE SET granted = excluded.granted, announced = excluded.announced
"""


@dataclass(frozen=True, slots=True)
class Counters:
    """A tenant's counts of uses, at a moment."""

    tenant: str
    now: datetime
    dialect: Dialect

    def standing(self, counters: Collection[CounterKey]) -> Script[dict[CounterKey, Count]]:
        """What stands, once lapsed reservations gave their uses back. Nobody else changes it until this ends."""
        if not counters:
            return {}
        keys = array(sorted(astuple(counter) for counter in counters))
        yield Statement(ADD_COUNTERS, (self.tenant, keys))
        lapsed = yield Statement(LAPSE, (self.tenant, keys, self.dialect.written(self.now)))
        given_back = Counter(CounterKey(*row) for row in lapsed)
        counts = {}
        for *key, granted, announced in (yield Statement(COUNTS, (self.tenant, keys))):
            counter = CounterKey(*key)
            counts[counter] = Count(granted - given_back[counter], bool(announced))
        if given_back:
            yield from self.write(counts, given_back)
        return counts

    def write(self, counts: Mapping[CounterKey, Count], changed: Iterable[CounterKey]) -> Script[None]:
        """Keep what stands of the counters that changed."""
        rows = [(*astuple(counter), counts[counter].granted, counts[counter].announced) for counter in changed]
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
