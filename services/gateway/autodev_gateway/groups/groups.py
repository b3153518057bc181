"""All consumer groups: finds or makes them, and stores what they did, many changes in one transaction."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError

from autodev_gateway import metrics
from autodev_gateway.event_log import ALL_EVENTS, EventLog, Filter, Record
from autodev_gateway.groups.ledger import Changes, Ledger
from autodev_gateway.groups.runner import MAX_UNSETTLED, GroupRunner
from autodev_gateway.groups.store import (
    GroupKey,
    GroupStore,
    ListedGroup,
    ServedElsewhere,
    StoredDeadLetter,
    Tenure,
)
from autodev_gateway.shutdown import to_the_end
from autodev_runtime.errors import AutoDevError, FailedPrecondition, NotFound, ResourceExhausted, Unavailable
from autodev_runtime.identity import ALL_TENANTS
from autodev_sdk.ending import ended, results_of

log = logging.getLogger(__name__)

MAX_GROUPS = 200
CHANGED_A_TIME = 100
READMITTED_A_TIME = 1000
GATHER_S = 0.01
POSITIONS_S = 2.0
REPLAYS_S = 1.0
RETRY_S = 1.0
LAST_FLUSH_S = 3.0
DESERTED_LOOK_S = 1.0
DESERTED_S = 30.0
"""How long a gateway keeps a group whose workers have left, most of which come again."""
LEAVE_S = 1.0
"""How long workers of an ending gateway may take to leave."""


@dataclass(frozen=True, slots=True)
class JoinOptions:
    """How a worker joins: the group's filter, and where a group that is not there yet starts."""

    wanted: Filter
    from_now: bool


class Groups:
    """The groups of all tenants."""

    def __init__(self, store: GroupStore, event_log: EventLog) -> None:
        self._store = store
        self._claims = store.claims(self._moved)
        self._log = event_log
        self._runners: dict[GroupKey, GroupRunner] = {}
        self._tasks: dict[GroupRunner, asyncio.Task[None]] = {}
        self._finding = asyncio.Lock()
        self._storing = asyncio.Lock()
        self._changed = asyncio.Event()
        self._replays_due_s = 0.0
        self._draining = False
        # What a group has taken is kept from retention by its row.
        event_log.before_deleting(self.flush)

    async def join(self, key: GroupKey, options: JoinOptions) -> GroupRunner:
        """The group, made where it is not there yet.

        Raises ResourceExhausted (TOO_MANY_GROUPS), Unavailable (GROUP_ELSEWHERE, DRAINING).
        """
        async with self._finding:
            runner = await self._find(key) or await self._make(key, options)
            if runner.wanted != options.wanted:
                with self._serving(runner):
                    await self._store.set_filter(runner.tenure, options.wanted)
                runner.want(options.wanted)
        return runner

    async def dead_letters(self, key: GroupKey, after: int, limit: int) -> list[tuple[StoredDeadLetter, Record]]:
        """A group's dead letters after a place, in the order of the log: the tenant's, where the group works for all.

        Raises NotFound.
        """
        await self.flush()
        group = await self._named(key)
        found: list[tuple[StoredDeadLetter, Record]] = []
        async for part in self._dead_parts(group, key.tenant, after, limit):
            found += part
            if len(found) >= limit:
                break
        return found[:limit]

    async def replay(self, key: GroupKey, seqs: Sequence[int] | None) -> int:
        """Have dead letters delivered again, by whichever gateway serves the group: these, or all, of the tenant.

        Returns how many. Raises NotFound.
        """
        try:
            return await self._change_dead(key, seqs, self._store.replay)
        finally:
            self._look_for_replays()

    async def discard(self, key: GroupKey, seqs: Sequence[int] | None) -> int:
        """Forget dead letters: these, or all, of the tenant. Returns how many. Raises NotFound."""
        return await self._change_dead(key, seqs, self._store.discard)

    async def _change_dead(
        self,
        key: GroupKey,
        seqs: Sequence[int] | None,
        change: Callable[[GroupKey, Sequence[int] | None], Awaitable[int]],
    ) -> int:
        await self.flush()
        group = await self._named(key)
        if group == key:
            return await change(group, seqs)
        chosen = None if seqs is None else set(seqs)
        changed = 0
        async for part in self._dead_parts(group, key.tenant, 0, CHANGED_A_TIME):
            theirs = [letter.seq for letter, _ in part if chosen is None or letter.seq in chosen]
            changed += await change(group, theirs)
        return changed

    async def listed(self, tenant: str, after: str, limit: int) -> list[ListedGroup]:
        """The tenant's own groups after a name, by name."""
        await self.flush()
        return await self._store.listed(tenant, after, limit)

    async def delete(self, key: GroupKey) -> None:
        """Delete a group and all that is stored of it.

        Raises NotFound, FailedPrecondition (GROUP_IN_USE), Unavailable (GROUP_ELSEWHERE, DRAINING).
        """
        async with self._finding:
            runner = await self._find(key)
            if runner is None:
                raise NotFound("group", key.name)
            if not runner.deserted.is_set():
                raise FailedPrecondition("the group has workers; end them first", reason="GROUP_IN_USE")
            # Nobody joins it meanwhile, and what it still has to store is of no use.
            self._end(runner)
            await to_the_end(self._deleted(key))

    async def _deleted(self, key: GroupKey) -> None:
        try:
            async with self._storing:
                await self._store.delete(key)
        finally:
            await self._claims.release(_claim_of(key))

    async def _give_back_deserted(self) -> None:
        """Let any gateway serve, or delete, a tenant's group that has had no worker for a while.

        Not those that work for all: who looks after them is told how far they are behind by whoever serves them.
        """
        for runner in list(self._runners.values()):
            if runner.key.tenant == ALL_TENANTS or runner.deserted_s < DESERTED_S:
                continue
            async with self._finding:
                stored = await self.flush()
                if stored and runner.deserted_s >= DESERTED_S and self._runners.get(runner.key) is runner:
                    self._end(runner)
                    await to_the_end(self._claims.release(_claim_of(runner.key)))

    async def _named(self, key: GroupKey) -> GroupKey:
        """The group that a tenant means: its own, else the one of that name which works for all. Raises NotFound."""
        for group in (key, GroupKey(ALL_TENANTS, key.name)):
            if group in self._runners or await self._store.exists(group):
                return group
        raise NotFound("group", key.name)

    async def _dead_parts(
        self, group: GroupKey, tenant: str, after: int, at_a_time: int
    ) -> AsyncIterator[list[tuple[StoredDeadLetter, Record]]]:
        """A group's dead letters after a place that are of the tenant's events and still kept, part by part."""
        while letters := await self._store.dead_letters(group, after, at_a_time):
            records = await self._log.at(tenant, [letter.seq for letter in letters], ALL_EVENTS)
            found = {record.seq: record for record in records}
            yield [(letter, found[letter.seq]) for letter in letters if letter.seq in found]
            after = letters[-1].seq

    def drain(self) -> None:
        """Leave every group to the other gateways now: calls that this one still answers may take it long to end."""
        self._draining = True
        self._changed.set()

    async def run(self) -> None:
        """Store changes as they come until there is a drain, or for ever; and at the end."""
        try:
            await self._store_as_they_come()
            # Whoever is about to claim a group does so before all claims are given back.
            async with self._finding:
                pass
        except BaseException:
            self._store.patience.begin()
            raise
        finally:
            await self._leave()

    async def _store_as_they_come(self) -> None:
        deserted_due_s = 0.0
        while not self._draining:
            try:
                stored = await self._store_changes()
                if time.monotonic() >= deserted_due_s:
                    deserted_due_s = time.monotonic() + DESERTED_LOOK_S
                    await self._give_back_deserted()
            except AutoDevError as error:
                log.error("consumer groups could not be stored, and will be: %s", error)
                stored = False
            if not stored:
                await asyncio.sleep(RETRY_S)

    async def _leave(self) -> None:
        """End all groups here, store what they did last, and let others claim them."""
        patience, runners = self._store.patience, list(self._runners.values())
        for runner in runners:
            runner.end()
        try:
            await ended(*self._tasks.values())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience.left_s(LEAVE_S)):
                    await results_of(*(runner.deserted.wait() for runner in runners))
            async with asyncio.timeout(patience.left_s(LAST_FLUSH_S)):
                await self.flush()
        except (TimeoutError, AutoDevError) as error:
            log.warning("what consumer groups did last is not stored, and will be delivered again: %r", error)
        finally:
            self._runners.clear()
            await self._claims.close()

    async def flush(self) -> bool:
        """Store all changes now. Returns whether the database took them all; what it did not is to be stored yet.

        Raises Unavailable.
        """
        async with self._storing:
            waiting = {
                runner: changes
                for runner in self._runners.values()
                if (changes := runner.ledger.take_changes()) is not None
            }
            if not waiting:
                return True
            try:
                await self._save(waiting)
            finally:
                for runner, changes in waiting.items():
                    runner.ledger.give_back(changes)
        self._measure()
        return not waiting

    async def _save(self, waiting: dict[GroupRunner, Changes]) -> None:
        """Store changes, and take out what is stored."""
        try:
            await self._store_of(waiting)
            waiting.clear()
        except SQLAlchemyError:
            # Some group's rows are at fault, which must not keep the others' from the disk.
            for runner, changes in list(waiting.items()):
                try:
                    await self._store_of({runner: changes})
                    del waiting[runner]
                except SQLAlchemyError as error:
                    log.error("group %s of %s is not stored: %s", runner.key.name, runner.key.tenant, error)

    async def _store_of(self, waiting: Mapping[GroupRunner, Changes]) -> None:
        over = await self._store.save({runner.tenure: changes for runner, changes in waiting.items()})
        for runner in waiting:
            if runner.tenure in over:
                self._end(runner)

    async def _store_changes(self) -> bool:
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
        await self._readmit()
        return await to_the_end(self.flush(), self._store.patience)

    def _look_for_replays(self) -> None:
        self._replays_due_s = 0.0
        self._changed.set()

    async def _readmit(self) -> None:
        """Now and then: take back the dead letters that are to be delivered again, whichever gateway was told so."""
        if not self._runners or time.monotonic() < self._replays_due_s:
            return
        self._replays_due_s = time.monotonic() + REPLAYS_S
        for key in await self._store.with_replays():
            # What is taken back and just being stored is still among them, and would be taken twice.
            async with self._storing:
                runner = self._runners.get(key)
                if runner is None or (room := min(READMITTED_A_TIME, MAX_UNSETTLED - runner.ledger.unsettled)) <= 0:
                    continue
                seqs = await self._store.replays(key, room)
                runner.readmit(seqs)
                if len(seqs) == room:
                    self._look_for_replays()

    async def _find(self, key: GroupKey) -> GroupRunner | None:
        if (runner := self._runners.get(key)) is not None:
            return runner
        if not await self._store.exists(key):
            return None
        async with self._claimed(key):
            return await self._take_over(key)

    async def _make(self, key: GroupKey, options: JoinOptions) -> GroupRunner:
        if await self._store.count(key.tenant) >= MAX_GROUPS:
            raise ResourceExhausted(f"the tenant has {MAX_GROUPS} groups", reason="TOO_MANY_GROUPS")
        async with self._claimed(key):
            # Another gateway may have made it before the claim.
            if (runner := await self._take_over(key)) is not None:
                return runner
            await self._log.catch_up()
            position = self._log.head if options.from_now else self._log.oldest(key.tenant)
            tenure = await self._store.create(key, position, options.wanted)
            gaps = self._log.gaps(key.tenant, from_start=position)
            ledger = Ledger(position)
            return self._start(GroupRunner(tenure, ledger, options.wanted, self._log, gaps, self._changed.set))

    async def _take_over(self, key: GroupKey) -> GroupRunner | None:
        stored = await self._store.take_over(key)
        if stored is None:
            return None
        ledger = Ledger(stored.position, stored.entries, time.monotonic())
        gaps = self._log.gaps(key.tenant)
        tenure = Tenure(key, stored.term)
        return self._start(GroupRunner(tenure, ledger, stored.wanted, self._log, gaps, self._changed.set))

    @contextlib.asynccontextmanager
    async def _claimed(self, key: GroupKey) -> AsyncIterator[None]:
        """The block starts the group's runner, in this gateway alone; a claim that serves nobody is given back."""
        if self._draining:
            raise Unavailable("the gateway stops; connect again", reason="DRAINING")
        claim = _claim_of(key)
        try:
            # Two gateways that served one group would each deliver all of its events.
            if not await self._claims.claim(claim):
                raise Unavailable("another gateway serves this group; join it there", reason="GROUP_ELSEWHERE")
            yield
        finally:
            if key not in self._runners:
                await to_the_end(self._claims.release(claim))

    @contextlib.contextmanager
    def _serving(self, runner: GroupRunner) -> Iterator[None]:
        """The block may find that the group is served elsewhere."""
        try:
            yield
        except ServedElsewhere:
            self._end(runner)
            raise

    def _moved(self) -> None:
        """Other gateways may serve the groups now. What was not stored is delivered again, by them."""
        for runner in list(self._runners.values()):
            self._end(runner)

    def _end(self, runner: GroupRunner) -> None:
        """Another gateway serves the group, or may do so: nothing of this one's is delivered or stored any more."""
        if self._runners.get(runner.key) is runner:
            del self._runners[runner.key]
            if runner.key.tenant == ALL_TENANTS:
                # How far it was behind here would be told for ever.
                metrics.GROUP_LAG.remove(runner.key.name)
        if (task := self._tasks.get(runner)) is not None:
            task.cancel()
        runner.end()

    def _start(self, runner: GroupRunner) -> GroupRunner:
        self._runners[runner.key] = runner
        task = asyncio.create_task(runner.run())
        self._tasks[runner] = task
        task.add_done_callback(lambda _: self._tasks.pop(runner))
        return runner

    def _measure(self) -> None:
        for key, runner in self._runners.items():
            if key.tenant == ALL_TENANTS:
                # Places are times, in microseconds.
                metrics.GROUP_LAG.labels(key.name).set(max(0, self._log.head - runner.ledger.position) / 1_000_000)


def _claim_of(key: GroupKey) -> str:
    return f"group {key.tenant} {key.name}"
