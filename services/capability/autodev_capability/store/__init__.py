"""The capability service's store: one transaction at a time, each for one tenant."""

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from autodev_capability.events import event_of
from autodev_capability.gates import Gate
from autodev_capability.granting import Wish
from autodev_capability.notices import Notice
from autodev_capability.store.books import Outcome, Reserving
from autodev_capability.store.quotas import Quotas
from autodev_capability.store.settling import Settlement, Settling
from autodev_capability.store.standings import Standings
from autodev_runtime.database import Database
from autodev_runtime.outbox import Outbox
from autodev_runtime.repeating import repeatable
from autodev_runtime.scripts import Script

Result = TypeVar("Result")

NO_GATES: Mapping[str, Gate] = MappingProxyType({})


class Transaction:
    """What can be asked and changed, all or none of it."""

    def __init__(self, session: AsyncSession, outbox: Outbox, installed: Mapping[str, Gate]) -> None:
        self.standings = Standings(session, installed)
        self.quotas = Quotas(session)
        self._session = session
        self._outbox = outbox

    def announce(self, notice: Notice) -> None:
        """Publish an event once this is committed."""
        self._outbox.add(self._session, event_of(notice))


class CapabilityStore:
    """Opens transactions, each for one tenant."""

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        changed: Callable[[str], None],
        installed: Mapping[str, Gate] = NO_GATES,
    ) -> None:
        """`changed` is told the tenant after every transaction that may have written. `installed`: the gates that
        extensions add to every workspace, by capability."""
        self._installed = installed
        self._database = database
        self._outbox = outbox
        self._changed = changed

    @property
    def shared(self) -> bool:
        """Whether other replicas may write at the same time: each tenant's transactions are then by themselves."""
        return not self._database.is_sqlite

    @repeatable
    async def reserve(self, wishes: Mapping[str, Sequence[Wish]], now: datetime) -> dict[str, list[Outcome]]:
        """Grant or refuse tenants' wishes, in one transaction where the database has a single writer.

        Raises Unavailable.
        """
        dialect = self._database.dialect
        scripts = {
            tenant: Reserving(tenant, asked, now, dialect, self._installed).script for tenant, asked in wishes.items()
        }
        found = await self._done(scripts)
        if any(notices for _, notices in found.values()):
            self._outbox.added()
        return {tenant: outcomes for tenant, (outcomes, _) in found.items()}

    @repeatable
    async def settle(self, asked: Mapping[str, Sequence[Settlement]], now: datetime) -> dict[str, list[Outcome]]:
        """Commit or release tenants' reservations, as `reserve` grants them. Raises Unavailable."""
        dialect = self._database.dialect
        return await self._done({tenant: Settling(tenant, each, now, dialect).script for tenant, each in asked.items()})

    async def _done(self, scripts: Mapping[str, Callable[[], Script[Result]]]) -> dict[str, Result]:
        """Tenants' scripts, in one transaction where the database has a single writer."""
        try:
            if self._database.is_sqlite:
                return await self._database.scripts_on_sqlite(scripts)
            return {tenant: await self._database.script(tenant, script) for tenant, script in scripts.items()}
        finally:
            for tenant in scripts:
                # Also when it failed: a commit whose answer was lost may have been made.
                self._changed(tenant)

    def is_installed(self, capability: str) -> bool:
        """Whether an extension has a gate for the capability."""
        return capability in self._installed

    @contextlib.asynccontextmanager
    async def reading(self, tenant: str) -> AsyncIterator[Transaction]:
        """A transaction that only reads."""
        async with self._database.reading(tenant) as session:
            yield Transaction(session, self._outbox, self._installed)

    @contextlib.asynccontextmanager
    async def writing(self, tenant: str) -> AsyncIterator[Transaction]:
        """A transaction that may write: committed at the block's end, undone by an exception."""
        try:
            async with self._database.session(tenant) as session:
                yield Transaction(session, self._outbox, self._installed)
        finally:
            # Also when it failed: a commit whose answer was lost may have been made.
            self._changed(tenant)
