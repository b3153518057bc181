"""The capability service's store: one transaction at a time, each for one tenant."""

import contextlib
from collections.abc import AsyncIterator, Callable

from sqlalchemy.ext.asyncio import AsyncSession

from autodev_capability.events import event_of
from autodev_capability.notices import Notice
from autodev_capability.store.quotas import Quotas
from autodev_capability.store.standings import Standings
from autodev_runtime.database import Database
from autodev_runtime.outbox import Outbox


class Transaction:
    """What can be asked and changed, all or none of it."""

    def __init__(self, session: AsyncSession, outbox: Outbox) -> None:
        self.standings = Standings(session)
        self.quotas = Quotas(session)
        self._session = session
        self._outbox = outbox

    def announce(self, notice: Notice) -> None:
        """Publish an event once this is committed."""
        self._outbox.add(self._session, event_of(notice))


class CapabilityStore:
    """Opens transactions, each for one tenant."""

    def __init__(self, database: Database, outbox: Outbox, changed: Callable[[str], None]) -> None:
        """`changed` is told the tenant after every transaction that may have written."""
        self._database = database
        self._outbox = outbox
        self._changed = changed

    @contextlib.asynccontextmanager
    async def reading(self, tenant: str) -> AsyncIterator[Transaction]:
        """A transaction that only reads."""
        async with self._database.reading(tenant) as session:
            yield Transaction(session, self._outbox)

    @contextlib.asynccontextmanager
    async def writing(self, tenant: str) -> AsyncIterator[Transaction]:
        """A transaction that may write: committed at the block's end, undone by an exception."""
        try:
            async with self._database.session(tenant) as session:
                yield Transaction(session, self._outbox)
        finally:
            # Also when it failed: a commit whose answer was lost may have been made.
            self._changed(tenant)
