"""Who calls. The tenant always comes from here, never from a request's body.

The gateway finds the identity from a credential; services behind it are told by the call's metadata, which they
believe because they listen on loopback, or because the caller's certificate entitles it to (peers.py).
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache

from autodev_runtime.binding import Binding
from autodev_runtime.errors import PermissionDenied, Unauthenticated
from autodev_runtime.lease import Lease

TENANT_KEY = "autodev-tenant"
SUBJECT_KEY = "autodev-subject"
ROLES_KEY = "autodev-roles"

ALL_TENANTS = "*"
"""The tenant of a service that works for all of them. No credential can have it."""

REMEMBERED = 1024
"""How many identities are made once for all their calls."""

Metadata = Sequence[tuple[str, str | bytes]]


class Role(StrEnum):
    """What a caller may do beyond reading and reporting."""

    RUNTIME = "runtime"
    """May vouch for outcomes."""
    REVIEWER = "reviewer"
    """May approve, reject, roll back."""
    OPERATOR = "operator"
    """May change settings and levels."""
    SERVICE = "service"
    """Is a service of the mesh."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A caller: its workspace, its name for the record, and its roles."""

    tenant: str
    subject: str
    roles: frozenset[Role]

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """The identity as call metadata, for a service behind the gateway."""
        return ((TENANT_KEY, self.tenant), (SUBJECT_KEY, self.subject), (ROLES_KEY, ",".join(sorted(self.roles))))


@dataclass(frozen=True, slots=True)
class Caller(Identity):
    """An identity that a credential proves, at a door where callers are not believed."""

    credential: str = ""
    """Which credential, for the record: `key:<id>`, `file:<start of its hash>`, `token:<issuer>`."""
    read_only: bool = False
    """The credential opens only RPCs that read."""
    lease: Lease | None = field(default=None, compare=False, repr=False)
    """How long the credential is good; None: as long as the server runs."""


def service_identity(service: str, tenant: str = ALL_TENANTS) -> Identity:
    """A service acting on its own: for one tenant, or for all."""
    return Identity(tenant, service, frozenset({Role.SERVICE}))


_current: ContextVar[Identity | None] = ContextVar("autodev_identity", default=None)


def current_identity() -> Identity:
    """The identity of the call being served. Raises Unauthenticated outside one."""
    identity = _current.get()
    if identity is None:
        raise Unauthenticated("no identity: the call carries no tenant")
    return identity


def current_tenant() -> str:
    """The tenant of the call being served."""
    return current_identity().tenant


def acting_as(identity: Identity) -> AbstractContextManager[None]:
    """Serve or call as this identity within the block."""
    return Binding(_current, identity)


def require_role(role: Role) -> Identity:
    """The current identity, if it has the role. Raises PermissionDenied."""
    identity = current_identity()
    if role not in identity.roles and Role.SERVICE not in identity.roles:
        raise role_required(role)
    return identity


def role_required(role: Role, for_what: str = "") -> PermissionDenied:
    """What a caller without a role is told."""
    return PermissionDenied(
        f"this needs the role {role.value!r}{for_what}", reason="ROLE_REQUIRED", metadata={"role": role.value}
    )


async def identity_from_metadata(metadata: Metadata) -> Identity:
    """The identity that a trusted peer states. Raises Unauthenticated."""
    stated = dict(metadata)
    tenant, subject = stated.get(TENANT_KEY), stated.get(SUBJECT_KEY, "")
    if not isinstance(tenant, str) or not tenant:
        raise Unauthenticated(f"the call's metadata has no {TENANT_KEY}; call the gateway, which adds it")
    return _identity(tenant, str(subject), str(stated.get(ROLES_KEY, "")))


@lru_cache(REMEMBERED)
def _identity(tenant: str, subject: str, roles: str) -> Identity:
    stated = roles.split(",")
    return Identity(tenant, subject, frozenset(Role(role) for role in stated if role in Role._value2member_map_))
