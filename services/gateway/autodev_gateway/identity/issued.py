"""The keys that operators made, as this gateway knows them: in memory, following the database.

A change made anywhere is known here a poll later (`key_poll_s`), and one made here at once. A key that is not known is
looked for before it is refused. One that has expired is known for another day: a clock that was ahead, and was set
right, must not have cost its holder the key. A gateway that cannot follow for `key_stale_s` lets nobody in by these
keys: one of them may have been revoked.
"""

import asyncio
import logging
import time
from dataclasses import dataclass

from autodev_gateway.identity.issued_key import IssuedKey
from autodev_gateway.identity.key_store import Changes, KeyStore
from autodev_runtime.errors import Unauthenticated, Unavailable
from autodev_runtime.identity import Caller
from autodev_runtime.lease import Lease

logger = logging.getLogger(__name__)

LOOKED_FOR_S = 0.2
"""How often, at most, the database is asked for keys that are not known."""
USED_PERIOD_S = 60.0
MICROSECONDS = 1_000_000
KNOWN_AFTER_S = 24 * 3600
"""For how long an expired key is known."""


@dataclass(frozen=True, slots=True)
class FollowOptions:
    """How the keys are followed."""

    poll_s: float = 1.0
    stale_s: float = 30.0


@dataclass(frozen=True, slots=True)
class _Known:
    key_id: str
    caller: Caller
    lease: Lease


class IssuedKeys:
    """Answers who holds a key."""

    def __init__(self, store: KeyStore, options: FollowOptions) -> None:
        self._store = store
        self._options = options
        self._known: dict[bytes, _Known] = {}
        self._used: set[str] = set()
        self._revision = -1
        self._asked_at = self._current_at = float("-inf")
        self._asking = asyncio.Lock()

    async def load(self) -> None:
        """Learn every key. Raises Unavailable."""
        began = self._began()
        self._take(await self._store.living(now_us() - KNOWN_AFTER_S * MICROSECONDS), began)

    async def find(self, digest: bytes) -> Caller | None:
        """Whom the key makes its holder; None where there is no such key.

        Raises Unauthenticated for one that has ended; Unavailable where that cannot be told.
        """
        known = self._known.get(digest)
        if known is None:
            await self._look_again()
            known = self._known.get(digest)
        if known is None:
            return None
        if known.lease.ended:
            raise Unauthenticated("the API key has ended", reason="CREDENTIAL_ENDED")
        if time.monotonic() - self._current_at > self._options.stale_s:
            raise Unavailable("it cannot be told now whether the API key is still good", reason="KEYS_STALE")
        self._used.add(known.key_id)
        return known.caller

    async def refresh(self) -> None:
        """Learn what has changed, or try again later."""
        try:
            async with self._asking:
                await self._refresh()
        except Unavailable as error:
            logger.warning("keys cannot be followed: %s", error)

    async def follow(self) -> None:
        """Learn what changes, for ever."""
        while True:
            await self.refresh()
            await asyncio.sleep(self._options.poll_s)

    async def note_uses(self) -> None:
        """Write down, now and then, which keys were used; for ever."""
        while True:
            await asyncio.sleep(USED_PERIOD_S)
            await self.write_uses()
            self.forget_ended()

    def forget_ended(self) -> None:
        """Know no more of keys that were revoked, or expired long ago."""
        self._known = {digest: known for digest, known in self._known.items() if _to_be_known(known.lease)}

    async def write_uses(self) -> None:
        """Write down which keys were used since the last time."""
        used, self._used = self._used, set()
        if not used:
            return
        try:
            await self._store.used(used, now_us())
        except Unavailable as error:
            # Coarse as it is: those that are in use will be noted next time.
            logger.warning("uses of keys were not noted: %s", error)

    async def _look_again(self) -> None:
        arrived = time.monotonic()
        async with self._asking:
            if self._asked_at > arrived:
                return
            await asyncio.sleep(max(0.0, self._asked_at + LOOKED_FOR_S - time.monotonic()))
            await self._refresh()

    async def _refresh(self) -> None:
        began = self._began()
        self._take(await self._store.changes(self._revision), began)

    def _began(self) -> float:
        self._asked_at = time.monotonic()
        return self._asked_at

    def _take(self, changes: Changes, began: float) -> None:
        for key in changes.keys:
            self._learn(key)
        self._revision = changes.revision
        # What was true when it was asked may have changed since.
        self._current_at = began

    def _learn(self, key: IssuedKey) -> None:
        digest = bytes.fromhex(key.sha256)
        known = self._known.get(digest)
        expires_at = None if key.expires_us is None else key.expires_us / MICROSECONDS
        if key.revoked_us is not None:
            if known is not None:
                known.lease.end()
            return
        if known is not None:
            if expires_at is not None:
                known.lease.shorten(expires_at)
            return
        lease = Lease(expires_at)
        caller = Caller(key.tenant, key.subject, key.roles, f"key:{key.id}", key.read_only, lease)
        self._known[digest] = _Known(key.id, caller, lease)


def _to_be_known(lease: Lease) -> bool:
    expired_s = 0.0 if lease.expires_at is None else time.time() - lease.expires_at
    return not lease.ended or 0 < expired_s < KNOWN_AFTER_S


def now_us() -> int:
    """The present, in microseconds since 1970."""
    return time.time_ns() // 1000
