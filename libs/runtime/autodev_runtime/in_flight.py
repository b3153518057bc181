"""What calls that have not ended may use of a server: all of them together, and those of one tenant."""

from dataclasses import dataclass
from datetime import timedelta

from autodev_runtime.errors import ResourceExhausted
from autodev_runtime.identity import ALL_TENANTS

RETRY_AFTER = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class CallBounds:
    """What calls may use of a server."""

    calls: int
    """Unary calls."""
    streams: int
    """Streams, which may be there for hours: they take no unary call's place."""
    request_bytes: int
    """Requests, of both, that are being served."""
    open_streams: int
    """Streams of health and reflection, which anybody may open."""
    tenant_share: float
    """How much of each of these, but for the last, one tenant may use."""
    default_timeout_s: float


class Bound:
    """One thing that calls use."""

    def __init__(self, what: str, most: int, tenant_share: float = 1.0) -> None:
        self._what = what
        self._most = most
        self._most_of_one = max(1, int(most * tenant_share))
        self._used = 0
        self._by_tenant: dict[str, int] = {}

    def take(self, amount: int) -> None:
        """Use so much more, which may be more than is left where anything is: then a large request is served too.

        Raises ResourceExhausted (TOO_MANY_CALLS).
        """
        if self._used >= self._most:
            raise _too_many(f"{self._most} {self._what} are in flight")
        self._used += amount

    def assign(self, tenant: str, amount: int) -> None:
        """What was taken is the tenant's. Raises ResourceExhausted (TOO_MANY_CALLS).

        A service that works for all tenants is held to no share: it has all of theirs to do.
        """
        used = self._by_tenant.get(tenant, 0)
        if used >= self._most_of_one and tenant != ALL_TENANTS:
            raise _too_many(f"{self._most_of_one} {self._what} of one workspace, its share, are in flight")
        self._by_tenant[tenant] = used + amount

    def give_back(self, amount: int, tenant: str | None) -> None:
        """Use so much less; of the tenant's, where it was assigned."""
        self._used -= amount
        if tenant is not None:
            left = self._by_tenant.pop(tenant, 0) - amount
            if left > 0:
                self._by_tenant[tenant] = left


class Use:
    """What one call uses of a bound."""

    __slots__ = ("_amount", "_bound", "_tenant")

    def __init__(self, bound: Bound) -> None:
        self._bound = bound
        self._amount = 0
        self._tenant: str | None = None

    def take(self, amount: int) -> None:
        """Use so much. Raises ResourceExhausted (TOO_MANY_CALLS)."""
        self._bound.take(amount)
        self._amount = amount

    def assign(self, tenant: str) -> None:
        """What was taken is the tenant's. Raises ResourceExhausted (TOO_MANY_CALLS)."""
        self._bound.assign(tenant, self._amount)
        self._tenant = tenant

    def end(self) -> None:
        """Use nothing."""
        self._bound.give_back(self._amount, self._tenant)
        self._amount, self._tenant = 0, None


def _too_many(message: str) -> ResourceExhausted:
    return ResourceExhausted(message, reason="TOO_MANY_CALLS", retry_after=RETRY_AFTER)
