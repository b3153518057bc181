"""Taking uses of a capability: reserve, then commit or release. The database decides; nothing here is remembered."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from autodev_capability.gates import (
    Decision,
    Denial,
    Gate,
    Limit,
    WorkspaceSettings,
    decide,
    limit_of,
    next_day,
    unknown,
)
from autodev_capability.notices import QuotaMet
from autodev_capability.quota import DEFAULT_HOLD, CounterKey, Reservation, ReservationState, counter_for
from autodev_capability.store import CapabilityStore, Transaction
from autodev_runtime.errors import FailedPrecondition, NotFound, PermissionDenied, ResourceExhausted
from autodev_runtime.repeating import Conflict, repeatable
from autodev_sdk.events import uuid7


class Reservations:
    """Grants, settles and gives back."""

    def __init__(self, store: CapabilityStore, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._clock = clock

    @repeatable
    async def reserve(
        self, tenant: str, request_id: str, agent_id: str, capability: str, hold_for: timedelta = DEFAULT_HOLD
    ) -> Reservation:
        """Reserve one use for today, or give the first result of the same request.

        A reservation of the request that lapsed is granted anew, if the limit allows: a worker that was away for
        longer than its hold could never go on otherwise.

        Raises PermissionDenied, ResourceExhausted (QUOTA_EXCEEDED), Unavailable.
        """
        now = self._clock()
        async with self._store.writing(tenant) as transaction:
            earlier = await transaction.quotas.reservation_of(request_id)
            if earlier is not None and not earlier.has_lapsed(now):
                return earlier
            gate, settings = await self._admit(transaction, agent_id, capability, now)
            limit = limit_of(gate, settings)
            counter = counter_for(capability, agent_id, limit, now)
            if earlier is not None:
                await transaction.quotas.lapse(earlier, now)
            used = await transaction.quotas.take(counter, limit.per_day if limit is not None else None, now)
            if used is not None:
                wanted = Reservation(
                    id=earlier.id if earlier is not None else uuid7(),
                    request_id=request_id,
                    agent_id=agent_id,
                    counter=counter,
                    state=ReservationState.RESERVED,
                    expires_at=now + hold_for,
                    used=used,
                    limit=limit.per_day if limit is not None else 0,
                )
                return await self._write(transaction, wanted, earlier)
            assert limit is not None
            met = await self._limit_met(transaction, counter, agent_id, limit, now)
        # Outside the transaction, which the error would undo: that the limit was met is to be announced.
        raise met

    async def _admit(
        self, transaction: Transaction, agent_id: str, capability: str, now: datetime
    ) -> tuple[Gate, WorkspaceSettings]:
        agent = await transaction.standings.agent(agent_id)
        gate = await transaction.standings.gate(capability)
        if gate is None:
            raise _denied(unknown(capability, agent))
        settings = await transaction.standings.settings()
        decision = decide(gate, settings, agent, 0, now)
        if decision.denial not in (None, Denial.LIMIT):
            raise _denied(decision)
        return gate, settings

    async def _write(self, transaction: Transaction, wanted: Reservation, earlier: Reservation | None) -> Reservation:
        write = transaction.quotas.add_reservation if earlier is None else transaction.quotas.renew
        if not await write(wanted):
            # Undoes this transaction's use. Done again, it finds what the other call made.
            raise Conflict("another call with this request_id is being served", reason="REQUEST_IN_PROGRESS")
        return wanted

    async def _limit_met(
        self, transaction: Transaction, counter: CounterKey, agent_id: str, limit: Limit, now: datetime
    ) -> ResourceExhausted:
        resets_at = next_day(now)
        used = (await transaction.quotas.usage(counter, now)).used
        if await transaction.quotas.announce_once(counter):
            transaction.announce(QuotaMet(agent_id, counter.capability, used, limit.per_day, resets_at))
        return ResourceExhausted(
            f"{used} of {limit.per_day} uses of {counter.capability} a day are taken",
            reason=Denial.LIMIT.value,
            metadata={"used": str(used), "limit": str(limit.per_day), "resets_at": resets_at.isoformat()},
            retry_after=resets_at - now,
        )

    @repeatable
    async def commit(self, tenant: str, reservation_id: str) -> Reservation:
        """Make a reservation final. Raises NotFound, FailedPrecondition."""
        now = self._clock()
        async with self._store.writing(tenant) as transaction:
            reservation = await _existing(transaction, reservation_id)
            if await transaction.quotas.commit(reservation_id, now):
                return replace(reservation, state=ReservationState.COMMITTED)
            # Read again: another call may have settled it between the two statements.
            settled = await _existing(transaction, reservation_id)
        if settled.state is ReservationState.COMMITTED:
            return settled
        if settled.state is ReservationState.RELEASED:
            raise FailedPrecondition("the reservation was released", reason="RESERVATION_RELEASED")
        raise FailedPrecondition("the reservation's time has passed", reason="RESERVATION_EXPIRED")

    @repeatable
    async def release(self, tenant: str, reservation_id: str) -> Reservation:
        """Give a reservation back; a lapsed one was given back already. Raises NotFound, FailedPrecondition."""
        now = self._clock()
        async with self._store.writing(tenant) as transaction:
            reservation = await _existing(transaction, reservation_id)
            if not await transaction.quotas.release(reservation, now):
                await transaction.quotas.lapse(reservation, now)
            settled = await _existing(transaction, reservation_id)
        if settled.state is ReservationState.COMMITTED:
            raise FailedPrecondition("the reservation is committed", reason="RESERVATION_COMMITTED")
        return settled


async def _existing(transaction: Transaction, reservation_id: str) -> Reservation:
    reservation = await transaction.quotas.reservation(reservation_id)
    if reservation is None:
        raise NotFound("reservation", reservation_id)
    return reservation


def _denied(decision: Decision) -> PermissionDenied:
    assert decision.denial is not None
    levels = {"required": decision.required, "current": decision.current}
    return PermissionDenied(
        decision.message,
        reason=decision.denial.value,
        metadata={name: level.name for name, level in levels.items() if level is not None},
    )
