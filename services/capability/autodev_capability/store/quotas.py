"""Queries of counters and reservations."""

from dataclasses import asdict
from datetime import datetime

from sqlalchemy import ColumnElement, and_, func, select, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.dml import Update

from autodev_capability.quota import CounterKey, Reservation, ReservationState, Usage
from autodev_capability.store.rows import CounterRow, ReservationRow
from autodev_runtime.columns import insert_if_absent


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
        return await self._reservation(ReservationRow.id == reservation_id)

    async def reservation_of(self, request_id: str) -> Reservation | None:
        """The reservation that a request made."""
        return await self._reservation(ReservationRow.request_id == request_id)

    async def _reservation(self, which: ColumnElement[bool]) -> Reservation | None:
        # The updates below pass by the session's identity map, so what it holds may be out of date.
        query = select(ReservationRow).where(which).execution_options(populate_existing=True)
        row = await self._session.scalar(query)
        return _reservation_from(row) if row is not None else None

    async def take(self, key: CounterKey, limit: int | None, moment: datetime) -> int | None:
        """Take one use of a day's limit. Returns the uses with this one; None where the limit is met.

        Lapsed reservations give their uses back first. The conditional update decides between concurrent callers, in
        this process and in others: it locks the counter until the transaction ends.
        """
        await insert_if_absent(self._session, CounterRow, **asdict(key))
        lapsed = await self._change(
            update(ReservationRow)
            .where(_reserved_at(key), ReservationRow.expires_at <= moment)
            .values(state=ReservationState.LAPSED)
        )
        if lapsed:
            await self._add_to(key, -lapsed)
        if not await self._add_to(key, 1, below=limit):
            return None
        return await self._session.scalar(select(CounterRow.granted).where(_counts(key)))

    async def announce_once(self, key: CounterKey) -> bool:
        """Whether a day's limit is found met for the first time."""
        first = update(CounterRow).where(_counts(key), CounterRow.announced.is_(False)).values(announced=True)
        return await self._change(first) == 1

    async def add_reservation(self, reservation: Reservation) -> bool:
        """Add a reservation. Returns False when a concurrent call with its request id came first."""
        return await insert_if_absent(
            self._session,
            ReservationRow,
            id=reservation.id,
            request_id=reservation.request_id,
            agent_id=reservation.agent_id,
            **_reservation_values(reservation),
        )

    async def renew(self, reservation: Reservation) -> bool:
        """Write a lapsed reservation that was granted anew. Returns False when a concurrent call did so first."""
        lapsed = and_(ReservationRow.id == reservation.id, ReservationRow.state == ReservationState.LAPSED)
        return await self._change(update(ReservationRow).where(lapsed).values(**_reservation_values(reservation))) == 1

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

    async def _add_to(self, key: CounterKey, count: int, below: int | None = None) -> bool:
        where = _counts(key) if below is None else and_(_counts(key), CounterRow.granted < below)
        return await self._change(update(CounterRow).where(where).values(granted=CounterRow.granted + count)) == 1

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


def _reservation_values(reservation: Reservation) -> dict[str, object]:
    return {
        **asdict(reservation.counter),
        "state": reservation.state,
        "expires_at": reservation.expires_at,
        "used": reservation.used,
        "quota": reservation.limit,
    }


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
