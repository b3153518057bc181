"""Reservations: one use of a capability, held until it is committed, released or lapses."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from autodev_capability.gates import Limit, day_of
from autodev_runtime.errors import FailedPrecondition

DEFAULT_HOLD = timedelta(minutes=10)


class ReservationState(StrEnum):
    """Where a reservation stands in the store. One past its time may still say RESERVED: see `Reservation.holds`."""

    RESERVED = "reserved"
    COMMITTED = "committed"
    RELEASED = "released"
    LAPSED = "lapsed"


class CounterKey(NamedTuple):
    """Names the count of a day's uses: of one agent, or of the tenant when `holder` is empty."""

    capability: str
    holder: str
    day: str


@dataclass(frozen=True, slots=True)
class Reservation:
    """One use of a capability. `used` and `limit` are what they were when it was granted."""

    id: str
    request_id: str
    agent_id: str
    counter: CounterKey
    state: ReservationState
    expires_at: datetime
    used: int
    limit: int

    def is_open(self, now: datetime) -> bool:
        """Whether it may still be committed or released."""
        return self.state is ReservationState.RESERVED and now < self.expires_at

    def has_lapsed(self, now: datetime) -> bool:
        """Whether its time passed before it was committed or released."""
        return self.state is ReservationState.LAPSED or (
            self.state is ReservationState.RESERVED and not self.is_open(now)
        )


@dataclass(frozen=True, slots=True)
class Usage:
    """A day's uses, and when the next open reservation among them lapses."""

    used: int = 0
    next_lapse: datetime | None = None


def counter_for(capability: str, agent_id: str, limit: Limit | None, now: datetime) -> CounterKey:
    """The count that a use belongs to."""
    shared = limit is not None and limit.shared_by_tenant
    return CounterKey(capability, "" if shared else agent_id, day_of(now))


def settled(reservation: Reservation, state: ReservationState, now: datetime) -> Reservation | FailedPrecondition:
    """The reservation once it is committed or released, or why it cannot be: which it was, the first word stands.

    One that lapsed is given back already, so releasing it changes nothing.
    """
    if reservation.is_open(now):
        return replace(reservation, state=state)
    if reservation.state is state or (state is ReservationState.RELEASED and reservation.has_lapsed(now)):
        return reservation
    if reservation.state is ReservationState.COMMITTED:
        return FailedPrecondition("the reservation is committed", reason="RESERVATION_COMMITTED")
    if reservation.state is ReservationState.RELEASED:
        return FailedPrecondition("the reservation was released", reason="RESERVATION_RELEASED")
    return FailedPrecondition("the reservation's time has passed", reason="RESERVATION_EXPIRED")
