"""Queries of counters and reservations. Reserving is a script: see books.py."""

from datetime import datetime

from sqlalchemy import ColumnElement, and_, func, select, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.dml import Update

from autodev_capability.quota import CounterKey, Reservation, ReservationState, Usage
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

    async def reservation(self, reservation_id: str) -> Reservation | None:
        """The reservation with this id."""
        # The updates below pass by the session's identity map, so what it holds may be out of date.
        query = (
            select(ReservationRow).where(ReservationRow.id == reservation_id).execution_options(populate_existing=True)
        )
        row = await self._session.scalar(query)
        return _reservation_from(row) if row is not None else None

    async def commit(self, reservation_id: str, moment: datetime) -> bool:
        """Make an open reservation final. Returns whether it was open."""
        return await self._settle(reservation_id, ReservationState.COMMITTED, ReservationRow.expires_at > moment)

    async def release(self, reservation: Reservation, moment: datetime) -> bool:
        """Give an open reservation back. Returns whether it was open."""
        return await self._give_back(reservation, ReservationState.RELEASED, ReservationRow.expires_at > moment)

    async def lapse(self, reservation: Reservation, moment: datetime) -> None:
        """Give a reservation back whose time has passed, unless that was done."""
        await self._give_back(reservation, ReservationState.LAPSED, ReservationRow.expires_at <= moment)

    async def _give_back(self, reservation: Reservation, state: ReservationState, when: ColumnElement[bool]) -> bool:
        settled = await self._settle(reservation.id, state, when)
        if settled:
            await self._add_to(reservation.counter, -1)
        return settled

    async def _settle(self, reservation_id: str, state: ReservationState, when: ColumnElement[bool]) -> bool:
        reserved = and_(ReservationRow.id == reservation_id, ReservationRow.state == ReservationState.RESERVED, when)
        return await self._change(update(ReservationRow).where(reserved).values(state=state)) == 1

    async def _add_to(self, key: CounterKey, count: int) -> None:
        await self._change(update(CounterRow).where(_counts(key)).values(granted=CounterRow.granted + count))

    async def _change(self, statement: Update) -> int:
        """Execute an update. Returns how many rows it changed."""
        result = await self._session.execute(statement.execution_options(synchronize_session=False))
        assert isinstance(result, CursorResult)
        return result.rowcount


def _counts(key: CounterKey) -> ColumnElement[bool]:
    return and_(CounterRow.capability == key.capability, CounterRow.holder == key.holder, CounterRow.day == key.day)


def _reserved_at(key: CounterKey) -> ColumnElement[bool]:
    return and_(
        ReservationRow.capability == key.capability,
        ReservationRow.holder == key.holder,
        ReservationRow.day == key.day,
        ReservationRow.state == ReservationState.RESERVED,
    )


def _reservation_from(row: ReservationRow) -> Reservation:
    return Reservation(
        id=row.id,
        request_id=row.request_id,
        agent_id=row.agent_id,
        counter=CounterKey(row.capability, row.holder, row.day),
        state=ReservationState(row.state),
        expires_at=row.expires_at,
        used=row.used,
        limit=row.quota,
    )
