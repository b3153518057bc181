"""How long a credential is good: until its time is over, or somebody ends it. Calls that go on for long end with it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from autodev_runtime.errors import Unauthenticated


class Lease:
    """The validity of one credential, shared by all of its calls."""

    __slots__ = ("__weakref__", "_ended", "_open", "expires_at")

    def __init__(self, expires_at: float | None = None) -> None:
        self.expires_at = expires_at
        """When it ends by itself, in seconds since 1970; None: never."""
        self._ended = False
        self._open: set[asyncio.Timeout] = set()

    @property
    def ended(self) -> bool:
        """Whether it was ended, or its time is over."""
        return self._ended or (self.expires_at is not None and time.time() >= self.expires_at)

    def end(self) -> None:
        """The credential is no longer good: whatever is within `held` ends now."""
        self._ended = True
        self._reschedule()

    def shorten(self, expires_at: float) -> None:
        """Let it end earlier."""
        if self.expires_at is None or expires_at < self.expires_at:
            self.expires_at = expires_at
            self._reschedule()

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """A block that may last, and is cancelled when the credential ends. Raises Unauthenticated then."""
        try:
            async with asyncio.timeout_at(self._deadline()) as scope:
                self._open.add(scope)
                try:
                    yield
                finally:
                    self._open.discard(scope)
        except TimeoutError:
            if not scope.expired():
                raise
            raise Unauthenticated("the credential is no longer good", reason="CREDENTIAL_ENDED") from None

    def _deadline(self) -> float | None:
        now = asyncio.get_running_loop().time()
        if self._ended:
            return now
        return None if self.expires_at is None else now + max(0.0, self.expires_at - time.time())

    def _reschedule(self) -> None:
        deadline = self._deadline() if self._open else None
        for scope in self._open:
            scope.reschedule(deadline)
