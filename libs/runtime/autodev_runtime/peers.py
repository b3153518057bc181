"""Which service may call which, and as whom: what a peer's certificate entitles it to."""

from collections.abc import Iterable
from dataclasses import dataclass

from autodev_runtime.errors import PermissionDenied
from autodev_runtime.identity import ALL_TENANTS, Identity, Role

DOMAIN = "autodev.internal"

CALLERS = {
    "gateway": frozenset({"capability", "fitness", "learning"}),
    "capability": frozenset({"gateway", "learning"}),
    "learning": frozenset({"gateway"}),
    "fitness": frozenset({"gateway", "learning"}),
    "sandbox": frozenset({"gateway", "learning"}),
}
"""Who asks whom. The gateway's is its internal door; the sandbox, which runs code that nobody has read, asks nobody."""


def name_of(service: str) -> str:
    """The DNS name that a service's certificate carries, wherever the service listens."""
    return f"{service}.{DOMAIN}"


@dataclass(frozen=True)
class Callers:
    """The services that a door is open to."""

    service: str
    allowed: frozenset[str]

    @classmethod
    def of(cls, service: str) -> "Callers":
        """Those of the service's door."""
        return cls(service, CALLERS[service])

    def check(self, names: Iterable[str], identity: Identity) -> None:
        """Raises PermissionDenied (PEER_REFUSED) unless the peer with these DNS names may state the identity."""
        peer = _service_among(names)
        if peer not in self.allowed:
            raise _refused(peer, f"{peer or 'a peer that is no service'} may not call {self.service}")
        if Role.SERVICE in identity.roles:
            if identity.subject != peer:
                raise _refused(peer, f"{peer} may not act as the service {identity.subject!r}")
        elif identity.tenant == ALL_TENANTS:
            raise _refused(peer, "only a service acts for all tenants")


def _service_among(names: Iterable[str]) -> str:
    """The one service that a certificate names; "" where it names none, or several."""
    services = [name.removesuffix(f".{DOMAIN}") for name in names if name.endswith(f".{DOMAIN}")]
    return services[0] if len(services) == 1 and services[0] in CALLERS else ""


def _refused(peer: str, message: str) -> PermissionDenied:
    return PermissionDenied(message, reason="PEER_REFUSED", metadata={"peer": peer})
