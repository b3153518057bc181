"""Stores by pairs, with its bits, each failed task that is stored by words: by a release that knew neither.

Such a task is found meanwhile (`failures`), at that release's speed. So nothing waits for this, neither the migration,
which would keep everybody from the tables for as long, nor a service's start. Each task is a transaction of its own:
done, it is not found again, and doing it twice gives the same.
"""

import asyncio
import json
import logging

from sqlalchemy import literal_column, select

from autodev_learning.rows import FailureTaskRow
from autodev_learning.store.task_index import add_entries, drop_entries, numbers
from autodev_learning.word_index import bits_of, entries
from autodev_runtime.database import Database
from autodev_runtime.errors import AutoDevError
from autodev_runtime.repeating import repeatable
from autodev_runtime.scripts import Script, Statement

log = logging.getLogger(__name__)

LOOK_EVERY_S = 600.0
"""Before the first look, too: replicas of a release that knows no pairs, which find by words only, are gone by then."""
BATCH = 500

_TASK = "SELECT agent_id, CAST(words AS text) FROM failure_tasks WHERE tenant_id = $1 AND id = $2"
_DONE = "UPDATE failure_tasks SET bits = $3 WHERE tenant_id = $1 AND id = $2"


class Reindexing:
    """Goes over the tasks of all tenants that are stored by words."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def run(self) -> None:
        """Store by pairs what is not, and look again: older replicas may add to it."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                done = await self.catch_up()
            except AutoDevError as error:
                log.warning("failed tasks stay stored by words: %s", error)
            else:
                if done:
                    log.info("%d failed tasks that an earlier release stored by words are stored by pairs", done)

    async def catch_up(self) -> int:
        """Store by pairs until nothing is left that is not. Returns how many tasks were."""
        done = 0
        while found := await self._by_words():
            for tenant, task in found:
                await self._store_by_pairs(tenant, task)
            done += len(found)
        return done

    @repeatable
    async def _by_words(self) -> list[tuple[str, int]]:
        # Not a parameter, or PostgreSQL could not tell that the index of such tasks holds them all.
        by_words = FailureTaskRow.bits < literal_column("0")
        query = select(FailureTaskRow.tenant_id, FailureTaskRow.id).where(by_words).limit(BATCH)
        async with self._database.across_tenants() as session:
            return [(tenant, task) for tenant, task in await session.execute(query)]

    @repeatable
    async def _store_by_pairs(self, tenant: str, task: int) -> None:
        await self._database.script(tenant, lambda: _stored_by_pairs(tenant, task))


def _stored_by_pairs(tenant: str, task: int) -> Script[None]:
    ((agent_id, listed),) = yield Statement(_TASK, (tenant, task))
    words = json.loads(listed)
    ordered = yield from numbers(tenant, words)
    yield from add_entries(tenant, agent_id, task, ordered)
    yield from drop_entries(tenant, agent_id, task, ordered, keep=entries(ordered))
    yield Statement(_DONE, (tenant, task, bits_of(words)))
