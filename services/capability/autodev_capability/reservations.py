"""Taking uses of a capability: reserve, then commit or release. The database decides; nothing here is remembered."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from autodev_capability.granting import Wish
from autodev_capability.quota import DEFAULT_HOLD, Reservation, ReservationState
from autodev_capability.store import CapabilityStore, Transaction
from autodev_capability.store.books import Outcome
from autodev_capability.together import Together
from autodev_runtime.errors import FailedPrecondition, NotFound
from autodev_runtime.repeating import repeatable
from autodev_runtime.tracing import current_trace

TOGETHER = 500
"""How many reservations one transaction takes."""


class Reservations:
    """Grants, settles and gives back."""

    def __init__(self, store: CapabilityStore, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._clock = clock
        self._together = Together(self._reserve, TOGETHER)

    async def reserve(
        self, tenant: str, request_id: str, agent_id: str, capability: str, hold_for: timedelta = DEFAULT_HOLD
    ) -> Reservation:
        """Reserve one use for today, or give the first result of the same request.

        A reservation of the request that lapsed is granted anew, if the limit allows: a worker that was away for
        longer than its hold could never go on otherwise.

        Raises PermissionDenied, ResourceExhausted (QUOTA_EXCEEDED), Unavailable.
        """
        wish = Wish(request_id, agent_id, capability, hold_for, current_trace())
        # Tenants share nothing but SQLite's one writer, whose commit is then for all.
        lane = tenant if self._store.shared else ""
        return await self._together.ask(lane, (tenant, wish))

    async def _reserve(self, _: str, asked: Sequence[tuple[str, Wish]]) -> list[Outcome]:
        wishes: dict[str, list[Wish]] = {}
        for tenant, wish in asked:
            wishes.setdefault(tenant, []).append(wish)
        found = {tenant: iter(each) for tenant, each in (await self._store.reserve(wishes, self._clock())).items()}
        return [next(found[tenant]) for tenant, _ in asked]

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
