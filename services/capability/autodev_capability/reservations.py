"""Taking uses of a capability: reserve, then commit or release. The database decides; nothing here is remembered."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from autodev_capability.granting import Use, Wish
from autodev_capability.quota import DEFAULT_HOLD, Reservation, ReservationState
from autodev_capability.store import CapabilityStore
from autodev_capability.store.books import Outcome
from autodev_capability.store.settling import Settlement
from autodev_capability.together import Together
from autodev_runtime.tracing import current_trace

Asked = TypeVar("Asked")

TOGETHER = 500
"""How many reservations one transaction makes or settles."""


class Reservations:
    """Grants, settles and gives back."""

    def __init__(self, store: CapabilityStore, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._clock = clock
        self._reserving = Together(self._reserve, TOGETHER)
        self._settling = Together(self._settle, TOGETHER)

    async def reserve(
        self,
        tenant: str,
        request_id: str,
        agent_id: str,
        capability: str,
        hold_for: timedelta = DEFAULT_HOLD,
        formerly: str = "",
    ) -> Reservation:
        """Reserve one use for today, or give the first result of the same request, `formerly` kept by another id.

        A reservation of the request that lapsed is granted anew, if the limit allows: a worker that was away for
        longer than its hold could never go on otherwise.

        Raises PermissionDenied, ResourceExhausted (QUOTA_EXCEEDED), FailedPrecondition (REQUEST_ID_REUSED) and
        Unavailable.
        """
        wish = Wish(request_id, Use(agent_id, capability), hold_for, current_trace(), formerly)
        return await self._reserving.ask(self._lane(tenant), (tenant, wish))

    async def commit(self, tenant: str, reservation_id: str) -> Reservation:
        """Make a reservation final. Raises NotFound, FailedPrecondition, Unavailable."""
        return await self._settled(tenant, Settlement(reservation_id, ReservationState.COMMITTED))

    async def release(self, tenant: str, reservation_id: str) -> Reservation:
        """Give a reservation back; a lapsed one was given back already. Raises as `commit`."""
        return await self._settled(tenant, Settlement(reservation_id, ReservationState.RELEASED))

    async def _settled(self, tenant: str, settlement: Settlement) -> Reservation:
        return await self._settling.ask(self._lane(tenant), (tenant, settlement))

    def _lane(self, tenant: str) -> str:
        """Tenants share nothing but SQLite's one writer, whose commit is then for all."""
        return tenant if self._store.shared else ""

    async def _reserve(self, _: str, asked: Sequence[tuple[str, Wish]]) -> list[Outcome]:
        return _in_order(asked, await self._store.reserve(_by_tenant(asked), self._clock()))

    async def _settle(self, _: str, asked: Sequence[tuple[str, Settlement]]) -> list[Outcome]:
        return _in_order(asked, await self._store.settle(_by_tenant(asked), self._clock()))


def _by_tenant(asked: Sequence[tuple[str, Asked]]) -> dict[str, list[Asked]]:
    found: dict[str, list[Asked]] = {}
    for tenant, each in asked:
        found.setdefault(tenant, []).append(each)
    return found


def _in_order(asked: Sequence[tuple[str, object]], found: Mapping[str, Sequence[Outcome]]) -> list[Outcome]:
    """Each tenant's outcomes, as they were asked for."""
    outcomes = {tenant: iter(each) for tenant, each in found.items()}
    return [next(outcomes[tenant]) for tenant, _ in asked]
