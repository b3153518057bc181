"""What is left of days that are over: reservations, and the counts of uses."""

from sqlalchemy import Delete, Table, and_, delete, select, tuple_

from autodev_capability.store.rows import CounterRow, ReservationRow
from autodev_runtime.database import Database
from autodev_runtime.repeating import repeatable

FORGOTTEN_AT_ONCE = 1000

_reservations: Table = ReservationRow.__table__  # type: ignore[assignment]
_counters: Table = CounterRow.__table__  # type: ignore[assignment]
_COUNTER = ("tenant_id", "capability", "holder", "day")


class PastDays:
    """The days of all tenants."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @repeatable
    async def forget(self, before: str) -> int:
        """Forget some of what is left of the days before one. Returns how many rows; 0: there are no more."""
        async with self._database.across_tenants() as session:
            connection = await session.connection()
            # Counts go last: reservations are found by them.
            forgotten = (await connection.execute(_old_reservations(before))).rowcount
            return forgotten or (await connection.execute(_old_counters(before))).rowcount


def _old_reservations(before: str) -> "Delete":
    counted = and_(*(_reservations.c[name] == _counters.c[name] for name in _COUNTER))
    some = select(_reservations.c.id).join(_counters, counted).where(_counters.c.day < before).limit(FORGOTTEN_AT_ONCE)
    # The day again: another replica may be granting one anew, for today.
    return delete(_reservations).where(_reservations.c.id.in_(some), _reservations.c.day < before)


def _old_counters(before: str) -> "Delete":
    key = [_counters.c[name] for name in _COUNTER]
    some = select(*key).where(_counters.c.day < before).limit(FORGOTTEN_AT_ONCE)
    return delete(_counters).where(tuple_(*key).in_(some))
