"""What is left of days that are over: reservations, the counts of uses, and which events and episodes were counted."""

from sqlalchemy import Delete, Table, and_, delete, select, tuple_

from autodev_capability.store.rows import CountedEpisodeRow, CountedEventRow, CounterRow, ReservationRow
from autodev_runtime.database import Database
from autodev_runtime.repeating import repeatable

FORGOTTEN_AT_ONCE = 1000

_reservations: Table = ReservationRow.__table__  # type: ignore[assignment]
_counters: Table = CounterRow.__table__  # type: ignore[assignment]
_counted: Table = CountedEventRow.__table__  # type: ignore[assignment]
_episodes: Table = CountedEpisodeRow.__table__  # type: ignore[assignment]
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
            days = (_old(each, before) for each in (_counters, _counted, _episodes))
            for old in (_old_reservations(before), *days):
                if forgotten := (await connection.execute(old)).rowcount:
                    return forgotten
            return 0


def _old_reservations(before: str) -> "Delete":
    counted = and_(*(_reservations.c[name] == _counters.c[name] for name in _COUNTER))
    some = select(_reservations.c.id).join(_counters, counted).where(_counters.c.day < before).limit(FORGOTTEN_AT_ONCE)
    # The day again: another replica may be granting one anew, for today.
    return delete(_reservations).where(_reservations.c.id.in_(some), _reservations.c.day < before)


def _old(table: Table, before: str) -> "Delete":
    key = list(table.primary_key.columns)
    some = select(*key).where(table.c.day < before).limit(FORGOTTEN_AT_ONCE)
    return delete(table).where(tuple_(*key).in_(some))
