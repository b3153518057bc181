"""Events that a consumer group gave up: which there are, having them delivered again, and forgetting them."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from autodev_gateway.event_log import ALL_EVENTS, EventLog, Record
from autodev_gateway.groups.runners import Runners
from autodev_gateway.groups.saving import Saving
from autodev_gateway.groups.store import GroupKey, GroupStore, StoredDeadLetter
from autodev_runtime.errors import NotFound
from autodev_runtime.identity import ALL_TENANTS

CHANGED_A_TIME = 100


class DeadLetters:
    """Those of all groups, whichever gateway serves them; of a group that works for all, the tenant's own."""

    def __init__(self, store: GroupStore, event_log: EventLog, runners: Runners, saving: Saving) -> None:
        self._store = store
        self._log = event_log
        self._runners = runners
        self._saving = saving

    async def listed(self, key: GroupKey, after: int, limit: int) -> list[tuple[StoredDeadLetter, Record]]:
        """A group's dead letters after a place, in the order of the log. Raises NotFound."""
        await self._saving.flush()
        group = await self._named(key)
        found: list[tuple[StoredDeadLetter, Record]] = []
        async for part in self._parts(group, key.tenant, after, limit):
            found += part
            if len(found) >= limit:
                break
        return found[:limit]

    async def replay(self, key: GroupKey, seqs: Sequence[int] | None) -> int:
        """Have dead letters delivered again, by whichever gateway serves the group: these, or all.

        Returns how many. Raises NotFound.
        """
        try:
            return await self._change(key, seqs, self._store.replay)
        finally:
            self._saving.look_for_replays()

    async def discard(self, key: GroupKey, seqs: Sequence[int] | None) -> int:
        """Forget dead letters: these, or all. Returns how many. Raises NotFound."""
        return await self._change(key, seqs, self._store.discard)

    async def _change(
        self,
        key: GroupKey,
        seqs: Sequence[int] | None,
        change: Callable[[GroupKey, Sequence[int] | None], Awaitable[int]],
    ) -> int:
        await self._saving.flush()
        group = await self._named(key)
        if group == key:
            return await change(group, seqs)
        chosen = None if seqs is None else set(seqs)
        changed = 0
        async for part in self._parts(group, key.tenant, 0, CHANGED_A_TIME):
            theirs = [letter.seq for letter, _ in part if chosen is None or letter.seq in chosen]
            changed += await change(group, theirs)
        return changed

    async def _named(self, key: GroupKey) -> GroupKey:
        """The group that a tenant means: its own, else the one of that name which works for all. Raises NotFound."""
        for group in (key, GroupKey(ALL_TENANTS, key.name)):
            if group in self._runners or await self._store.exists(group):
                return group
        raise NotFound("group", key.name)

    async def _parts(
        self, group: GroupKey, tenant: str, after: int, at_a_time: int
    ) -> AsyncIterator[list[tuple[StoredDeadLetter, Record]]]:
        """A group's dead letters after a place that are of the tenant's events and still kept, part by part."""
        while letters := await self._store.dead_letters(group, after, at_a_time):
            records = await self._log.at(tenant, [letter.seq for letter in letters], ALL_EVENTS)
            found = {record.seq: record for record in records}
            yield [(letter, found[letter.seq]) for letter in letters if letter.seq in found]
            after = letters[-1].seq
