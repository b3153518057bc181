"""What a tenant may spend on language models in a day, in tokens and in money.

Before a call the most that it can cost is reserved; after it, the reservation is settled to what it did cost. So calls
in flight can never take a tenant past its limit, on however many replicas. What cannot be known (a cut connection, a
killed service) stays at its worst. Money is counted in whole billionths of a dollar: sums of them are exact.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import astuple, dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Protocol

from autodev_learning.apart import from_afar
from autodev_learning.proposers.allowance import NANO, Allowance, Held
from autodev_runtime.errors import ResourceExhausted

BUDGET_SPENT = "LLM_BUDGET_SPENT"
LOOK_AGAIN_S = 0.05
"""How soon a call that waits for others of its experiment sees that they are settled."""


@dataclass(frozen=True, slots=True)
class Amount:
    """Tokens, of prompts and answers together, and billionths of a US dollar."""

    tokens: int = 0
    nanousd: int = 0

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(self.tokens + other.tokens, self.nanousd + other.nanousd)

    @property
    def usd(self) -> float:
        return self.nanousd / NANO


@dataclass(frozen=True, slots=True)
class Spent:
    """What a tenant has spent on a UTC day (`2026-03-01`), calls in flight at their worst, and what it may spend."""

    day: str
    calls: int
    amount: Amount
    limit: Amount

    @property
    def resets_at(self) -> datetime:
        return end_of(self.day)


@dataclass(frozen=True, slots=True)
class Reservation:
    """The worst that a call may cost, taken from a day's budget."""

    day: str
    worst: Amount


class Ledger(Protocol):
    """The days' books of the current tenant."""

    def reserve(self, worst: Amount) -> Awaitable[Reservation]:
        """Take the worst from today's budget. Raises ResourceExhausted (LLM_BUDGET_SPENT)."""
        ...

    def settle(self, reservation: Reservation, actual: Amount) -> Awaitable[None]:
        """Give back what a call did not cost; what it cost beyond its worst is counted too."""
        ...


@dataclass(frozen=True)
class Purse:
    """A ledger as calls in any thread use it."""

    reserve: Callable[[Amount], Awaitable[Reservation]]
    settle: Callable[[Reservation, Amount], Awaitable[None]]

    @classmethod
    def of(cls, ledger: Ledger) -> "Purse":
        """The ledger's, whose database belongs to the event loop that is current now."""
        return cls(from_afar(ledger.reserve), from_afar(ledger.settle))

    def within(self, allowance: Allowance | None) -> "Purse":
        """The same, of which no more is taken than an allowance has left."""
        if allowance is None:
            return self

        async def reserve(worst: Amount) -> Reservation:
            while (held := allowance.hold(worst.tokens, worst.nanousd)) is not Held.YES:
                if held is Held.NO:
                    raise allowance_spent(worst)
                await asyncio.sleep(LOOK_AGAIN_S)
            try:
                return await self.reserve(worst)
            except BaseException:
                allowance.settle(astuple(worst), (0, 0))
                raise

        async def settle(reservation: Reservation, actual: Amount) -> None:
            allowance.settle(astuple(reservation.worst), astuple(actual))
            await self.settle(reservation, actual)

        return Purse(reserve, settle)


def end_of(day: str) -> datetime:
    """When a UTC day's budget is over and the next begins."""
    return datetime.combine(datetime.fromisoformat(day), time(), UTC) + timedelta(days=1)


def allowance_spent(worst: Amount) -> ResourceExhausted:
    """The refusal of a call that could take an experiment past its budget."""
    message = (
        f"the experiment's budget has less left than the {worst.tokens:,} tokens and {worst.usd:.4f} USD "
        "that this call may take"
    )
    return ResourceExhausted(message, reason=BUDGET_SPENT)


def budget_spent(worst: Amount, spent: Spent, now: datetime) -> ResourceExhausted:
    """The refusal of a call that could take the day past its limit."""
    message = (
        f"the day's budget for language models is spent: {spent.amount.tokens:,} of {spent.limit.tokens:,} tokens and "
        f"{spent.amount.usd:.4f} of {spent.limit.usd:.4f} USD are used or in flight, and this call may take "
        f"{worst.tokens:,} tokens and {worst.usd:.4f} USD"
    )
    return ResourceExhausted(
        message,
        reason=BUDGET_SPENT,
        metadata={"resets_at": spent.resets_at.isoformat()},
        retry_after=max(timedelta(0), spent.resets_at - now),
    )
