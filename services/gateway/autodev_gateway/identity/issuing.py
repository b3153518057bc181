"""What operators may do with their tenant's keys."""

from dataclasses import dataclass
from datetime import timedelta

from autodev_gateway.identity.issued_key import Fresh, Grant, IssuedKey, issue, revoke, rotate
from autodev_gateway.identity.key_store import KeyChange, KeyStore
from autodev_runtime.errors import ResourceExhausted
from autodev_runtime.identity import Identity
from autodev_runtime.repeating import repeatable


@dataclass(frozen=True, slots=True)
class Rotation:
    """A key that ends, and the one that takes its place."""

    replaced: IssuedKey
    fresh: Fresh


class KeyIssuer:
    """Makes and ends keys. Every method is one transaction."""

    def __init__(self, store: KeyStore, most_keys: int) -> None:
        self._store = store
        self._most_keys = most_keys

    @repeatable
    async def create(self, operator: Identity, grant: Grant, request_id: str, now_us: int) -> Fresh:
        """Make a key; for a request that has made one, that key without its text. Raises ResourceExhausted."""
        request = f"create:{request_id}"
        async with self._store.changing(operator.tenant) as change:
            if (made := await change.made_by(request)) is not None:
                return Fresh(made, "")
            await self._check_room(change, now_us)
            fresh = issue(operator.tenant, grant, operator.subject, now_us)
            change.add(fresh.key, request)
            return fresh

    @repeatable
    async def rotate(
        self, operator: Identity, key_id: str, overlap: timedelta, request_id: str, now_us: int
    ) -> Rotation:
        """Make a key that takes another's place; for a request that has done so, those keys without the text.

        Raises NotFound, FailedPrecondition, ResourceExhausted.
        """
        request = f"rotate:{request_id}"
        async with self._store.changing(operator.tenant) as change:
            if (made := await change.made_by(request)) is not None:
                return Rotation(await change.replaced_by(made.id), Fresh(made, ""))
            old = await change.get(key_id)
            replaced, fresh = rotate(old, overlap, operator.subject, now_us)
            await self._check_room(change, now_us)
            change.add(fresh.key, request)
            await change.put(replaced)
            return Rotation(replaced, fresh)

    @repeatable
    async def revoke(self, operator: Identity, key_id: str, now_us: int) -> IssuedKey:
        """End a key. Raises NotFound."""
        async with self._store.changing(operator.tenant) as change:
            revoked = revoke(await change.get(key_id), now_us)
            await change.put(revoked)
            return revoked

    async def page(self, tenant: str, before: tuple[int, str] | None, limit: int) -> list[IssuedKey]:
        """The newest keys before one, newest first."""
        return await self._store.page(tenant, before, limit)

    async def _check_room(self, change: KeyChange, now_us: int) -> None:
        if await change.living(now_us) >= self._most_keys:
            raise ResourceExhausted(
                f"the workspace has {self._most_keys} keys; revoke some that are not used", reason="TOO_MANY_KEYS"
            )
