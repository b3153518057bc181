"""Stores what the consumer groups of this gateway did, many changes in one transaction."""

import asyncio
import logging
import time
from collections.abc import Mapping

from autodev_gateway.groups.ledger import Changes
from autodev_gateway.groups.runner import MAX_UNSETTLED, GroupRunner
from autodev_gateway.groups.runners import Runners
from autodev_gateway.groups.store import GroupStore, Refused
from autodev_gateway.shutdown import to_the_end

log = logging.getLogger(__name__)

READMITTED_A_TIME = 1000
GATHER_S = 0.01
POSITIONS_S = 2.0
REPLAYS_S = 1.0


class Saving:
    """What is to be stored of the groups, and dead letters that are to be taken back."""

    def __init__(self, store: GroupStore, runners: Runners) -> None:
        self._store = store
        self._runners = runners
        self._changed = asyncio.Event()
        self._replays_due_s = 0.0
        self.turn = asyncio.Lock()
        """Held by whoever stores or deletes groups."""

    def wake(self) -> None:
        """There is something to store, or to see to."""
        self._changed.set()

    def look_for_replays(self) -> None:
        """There are dead letters to deliver again."""
        self._replays_due_s = 0.0
        self.wake()

    async def flush(self) -> bool:
        """Store all changes now. Returns whether the database took them all; what it did not is to be stored yet.

        Raises Unavailable.
        """
        # A group that nobody works for changes nothing, and is further behind each time.
        self._runners.measure()
        async with self.turn:
            waiting = {
                runner: changes
                for runner in self._runners.all()
                if (changes := runner.ledger.take_changes()) is not None
            }
            if not waiting:
                return True
            # Whatever ends it, nothing is lost: what was stored after all is stored again, and is the same.
            left = waiting
            try:
                left = await self._save(waiting)
            finally:
                for runner, changes in left.items():
                    runner.ledger.give_back(changes)
        return not left

    async def store_changes(self) -> bool:
        """Wait for changes and store them: what was leased or settled soon, mere positions in a while."""
        try:
            async with asyncio.timeout(POSITIONS_S):
                await self._changed.wait()
        except TimeoutError:
            pass
        else:
            # What is leased and settled within this time needs no row at all.
            await asyncio.sleep(GATHER_S)
        self._changed.clear()
        await self.readmit()
        return await to_the_end(self.flush(), self._store.patience)

    async def readmit(self) -> None:
        """Now and then: take back the dead letters that are to be delivered again, whichever gateway was told so."""
        if not self._runners.all() or time.monotonic() < self._replays_due_s:
            return
        self._replays_due_s = time.monotonic() + REPLAYS_S
        for key in await self._store.with_replays():
            # What is taken back and just being stored is still among them, and would be taken twice.
            async with self.turn:
                runner = self._runners.get(key)
                if runner is None or (room := min(READMITTED_A_TIME, MAX_UNSETTLED - runner.ledger.unsettled)) <= 0:
                    continue
                seqs = await self._store.replays(key, room)
                runner.readmit(seqs)
                if len(seqs) == room:
                    self.look_for_replays()

    async def _save(self, waiting: Mapping[GroupRunner, Changes]) -> dict[GroupRunner, Changes]:
        """Store changes. Returns those that the database refuses."""
        try:
            await self._store_of(waiting)
            return {}
        except Refused:
            # Some group's rows are at fault, which must not keep the others' from the disk.
            return await self._save_each(waiting)

    async def _save_each(self, waiting: Mapping[GroupRunner, Changes]) -> dict[GroupRunner, Changes]:
        refused = {}
        for runner, changes in waiting.items():
            try:
                await self._store_of({runner: changes})
            except Refused as error:
                log.error("group %s of %s is not stored: %s", runner.key.name, runner.key.tenant, error)
                refused[runner] = changes
        return refused

    async def _store_of(self, waiting: Mapping[GroupRunner, Changes]) -> None:
        over = await self._store.save({runner.tenure: changes for runner, changes in waiting.items()})
        for runner in waiting:
            if runner.tenure in over:
                self._runners.end(runner)
