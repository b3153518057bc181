"""What tenants have spent on language models: one row a tenant and UTC day, changed by single statements."""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import CursorResult, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from autodev_learning.proposers.llm.spending import Amount, Reservation, Spent, budget_spent
from autodev_learning.rows import LlmSpendingRow
from autodev_runtime.columns import insert_if_absent, now
from autodev_runtime.database import Database
from autodev_runtime.identity import current_tenant
from autodev_runtime.repeating import repeatable


class SpendingStore:
    """Every method is about the current tenant; `limit` is each tenant's on each day."""

    def __init__(self, database: Database, limit: Amount, clock: Callable[[], datetime] = now) -> None:
        self._database = database
        self._limit = limit
        self._clock = clock

    @repeatable
    async def reserve(self, worst: Amount) -> Reservation:
        """Take the worst that a call may cost from today's budget, or raise ResourceExhausted (LLM_BUDGET_SPENT).

        One statement asks and takes, so the database decides between callers on all replicas.
        """
        moment = self._clock()
        day = moment.date().isoformat()
        async with self._database.session(current_tenant()) as session:
            await insert_if_absent(session, LlmSpendingRow, day=day)
            taken = await session.execute(
                update(LlmSpendingRow)
                .where(
                    LlmSpendingRow.day == day,
                    LlmSpendingRow.tokens + worst.tokens <= self._limit.tokens,
                    LlmSpendingRow.nanousd + worst.nanousd <= self._limit.nanousd,
                )
                .values(
                    calls=LlmSpendingRow.calls + 1,
                    tokens=LlmSpendingRow.tokens + worst.tokens,
                    nanousd=LlmSpendingRow.nanousd + worst.nanousd,
                )
                .execution_options(synchronize_session=False)
            )
            assert isinstance(taken, CursorResult)
            if taken.rowcount == 1:
                return Reservation(day, worst)
            spent = await self._spent(session, day)
        raise budget_spent(worst, spent, moment)

    @repeatable
    async def settle(self, reservation: Reservation, actual: Amount) -> None:
        """Count what a call did cost instead of its worst, on the day that it was begun."""
        worst = reservation.worst
        async with self._database.session(current_tenant()) as session:
            await session.execute(
                update(LlmSpendingRow)
                .where(LlmSpendingRow.day == reservation.day)
                .values(
                    tokens=LlmSpendingRow.tokens + (actual.tokens - worst.tokens),
                    nanousd=LlmSpendingRow.nanousd + (actual.nanousd - worst.nanousd),
                )
                .execution_options(synchronize_session=False)
            )

    async def _spent(self, session: AsyncSession, day: str) -> Spent:
        row = await session.scalar(select(LlmSpendingRow).where(LlmSpendingRow.day == day))
        if row is None:
            return Spent(day, 0, Amount(), self._limit)
        return Spent(day, row.calls, Amount(row.tokens, row.nanousd), self._limit)
