"""How much of a limit is used. Reserving and settling are scripts: see books.py and settling.py."""

from datetime import datetime

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from autodev_capability.quota import CounterKey, ReservationState, Usage
from autodev_capability.store.rows import CounterRow, ReservationRow


class Quotas:
    """Uses and reservations, within one transaction."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def usage(self, key: CounterKey, moment: datetime) -> Usage:
        """The uses of a day that still stand at a moment."""
        granted = await self._session.scalar(select(CounterRow.granted).where(_counts(key)))
        if not granted:
            return Usage()
        expires_at = ReservationRow.expires_at
        lapses = (
            select(func.count().filter(expires_at <= moment), func.min(expires_at).filter(expires_at > moment))
            .select_from(ReservationRow)
            .where(_reserved_at(key))
        )
        lapsed, next_lapse = (await self._session.execute(lapses)).one()
        return Usage(granted - lapsed, next_lapse)


def _counts(key: CounterKey) -> ColumnElement[bool]:
    return and_(CounterRow.capability == key.capability, CounterRow.holder == key.holder, CounterRow.day == key.day)


def _reserved_at(key: CounterKey) -> ColumnElement[bool]:
    return and_(
        ReservationRow.capability == key.capability,
        ReservationRow.holder == key.holder,
        ReservationRow.day == key.day,
        ReservationRow.state == ReservationState.RESERVED,
    )
