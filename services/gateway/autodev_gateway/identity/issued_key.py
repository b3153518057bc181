"""A key that an operator made: how it comes to be, and how it ends. Times are microseconds since 1970."""

from dataclasses import dataclass, replace
from datetime import timedelta

from autodev_gateway.identity.texts import PREFIX_LENGTH, digest_of, new_text
from autodev_runtime.errors import FailedPrecondition
from autodev_runtime.identity import Role
from autodev_sdk.events import uuid7

DEFAULT_OVERLAP = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Grant:
    """What a key is to be."""

    subject: str
    roles: frozenset[Role]
    read_only: bool = False
    description: str = ""
    lifetime: timedelta | None = None
    """None: until it is revoked."""


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A key. Its text is nowhere in it."""

    id: str
    tenant: str
    sha256: str
    prefix: str
    subject: str
    roles: frozenset[Role]
    read_only: bool
    description: str
    created_us: int
    created_by: str
    expires_us: int | None = None
    revoked_us: int | None = None
    last_used_us: int | None = None
    replaced_by: str = ""

    def ended(self, now_us: int) -> bool:
        """Whether it opens nothing any more."""
        return self.revoked_us is not None or (self.expires_us is not None and self.expires_us <= now_us)


@dataclass(frozen=True, slots=True)
class Fresh:
    """A key that was just made, with its text, which nobody else has."""

    key: IssuedKey
    text: str


def issue(tenant: str, grant: Grant, creator: str, now_us: int) -> Fresh:
    """A new key."""
    text = new_text()
    key = IssuedKey(
        id=uuid7(),
        tenant=tenant,
        sha256=digest_of(text).hex(),
        prefix=text[:PREFIX_LENGTH],
        subject=grant.subject,
        roles=grant.roles,
        read_only=grant.read_only,
        description=grant.description,
        created_us=now_us,
        created_by=creator,
        expires_us=None if grant.lifetime is None else now_us + _microseconds(grant.lifetime),
    )
    return Fresh(key, text)


def rotate(old: IssuedKey, overlap: timedelta, creator: str, now_us: int) -> tuple[IssuedKey, Fresh]:
    """The key as it ends, and the one that takes its place. Raises FailedPrecondition."""
    if old.replaced_by:
        raise FailedPrecondition(
            f"the key was rotated: {old.replaced_by} has its place",
            reason="KEY_ROTATED",
            metadata={"replaced_by": old.replaced_by},
        )
    if old.ended(now_us):
        raise FailedPrecondition("the key has ended; make a new one", reason="KEY_ENDED")
    lifetime = None if old.expires_us is None else timedelta(microseconds=old.expires_us - old.created_us)
    fresh = issue(old.tenant, Grant(old.subject, old.roles, old.read_only, old.description, lifetime), creator, now_us)
    until_us = now_us + _microseconds(overlap)
    ends_us = until_us if old.expires_us is None else min(until_us, old.expires_us)
    return replace(old, expires_us=ends_us, replaced_by=fresh.key.id), fresh


def revoke(key: IssuedKey, now_us: int) -> IssuedKey:
    """The key, ended. One that was revoked stays as it is."""
    return key if key.revoked_us is not None else replace(key, revoked_us=now_us)


def _microseconds(duration: timedelta) -> int:
    return duration // timedelta(microseconds=1)
