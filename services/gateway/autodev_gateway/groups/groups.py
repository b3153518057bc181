"""All consumer groups: finds or makes them, and leaves them to other gateways."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

from autodev_gateway.event_log import EventLog, Filter
from autodev_gateway.groups.dead_letters import DeadLetters
from autodev_gateway.groups.ledger import Ledger
from autodev_gateway.groups.runner import GroupRunner
from autodev_gateway.groups.runners import Runners
from autodev_gateway.groups.saving import Saving
from autodev_gateway.groups.store import GroupKey, GroupStore, ListedGroup, ServedElsewhere, Tenure
from autodev_gateway.shutdown import to_the_end
from autodev_runtime.errors import AutoDevError, FailedPrecondition, NotFound, ResourceExhausted, Unavailable
from autodev_runtime.identity import ALL_TENANTS
from autodev_sdk.ending import results_of

log = logging.getLogger(__name__)

MAX_GROUPS = 200
RETRY_S = 1.0
LAST_FLUSH_S = 3.0
LOOK_S = 1.0
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
        self._runners = Runners(event_log)
        self._finding = asyncio.Lock()
        self._draining = False
        self.saving = Saving(store, self._runners)
        self.dead_letters = DeadLetters(store, event_log, self._runners, self.saving)
        # What a group has taken is kept from retention by its row.
        event_log.before_deleting(self.saving.flush)

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

    async def listed(self, tenant: str, after: str, limit: int) -> list[ListedGroup]:
        """The tenant's own groups after a name, by name."""
        await self.saving.flush()
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
            self._runners.end(runner)
            await to_the_end(self._deleted(key))

    async def _deleted(self, key: GroupKey) -> None:
        try:
            async with self.saving.turn:
                await self._store.delete(key)
        finally:
            await self._claims.release(_claim_of(key))

    async def _give_back_deserted(self) -> None:
        """Let any gateway serve, or delete, a tenant's group that has had no worker for a while.

        Not those that work for all: who looks after them is told how far they are behind by whoever serves them.
        """
        for runner in self._runners.all():
            if runner.key.tenant == ALL_TENANTS or runner.deserted_s < DESERTED_S:
                continue
            async with self._finding:
                stored = await self.saving.flush()
                if stored and runner.deserted_s >= DESERTED_S and self._runners.get(runner.key) is runner:
                    self._runners.end(runner)
                    await to_the_end(self._claims.release(_claim_of(runner.key)))

    def drain(self) -> None:
        """Leave every group to the other gateways now: calls that this one still answers may take it long to end."""
        self._draining = True
        self.saving.wake()

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
        look_due_s = 0.0
        while not self._draining:
            try:
                stored = await self.saving.store_changes()
                if time.monotonic() >= look_due_s:
                    look_due_s = time.monotonic() + LOOK_S
                    await self._give_back_deserted()
                    self._runners.measure_others(await self._store.positions())
            except AutoDevError as error:
                log.error("consumer groups could not be stored, and will be: %s", error)
                stored = False
            if not stored:
                await asyncio.sleep(RETRY_S)

    async def _leave(self) -> None:
        """End all groups here, store what they did last, and let others claim them."""
        patience, runners = self._store.patience, self._runners.all()
        try:
            await self._runners.stop()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience.left_s(LEAVE_S)):
                    await results_of(*(runner.deserted.wait() for runner in runners))
            async with asyncio.timeout(patience.left_s(LAST_FLUSH_S)):
                await self.saving.flush()
        except (TimeoutError, AutoDevError) as error:
            log.warning("what consumer groups did last is not stored, and will be delivered again: %r", error)
        finally:
            self._runners.forget()
            await self._claims.close()

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
            position = await (self._log.last(key.tenant) if options.from_now else self._log.earliest(key.tenant))
            tenure = await self._store.create(key, position, options.wanted)
            gaps = self._log.gaps(key.tenant, from_start=position)
            ledger = Ledger(position)
            return self._runners.start(GroupRunner(tenure, ledger, options.wanted, self._log, gaps, self.saving.wake))

    async def _take_over(self, key: GroupKey) -> GroupRunner | None:
        stored = await self._store.take_over(key)
        if stored is None:
            return None
        ledger = Ledger(stored.position, stored.entries, time.monotonic())
        gaps = self._log.gaps(key.tenant)
        tenure = Tenure(key, stored.term)
        return self._runners.start(GroupRunner(tenure, ledger, stored.wanted, self._log, gaps, self.saving.wake))

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
            self._runners.end(runner)
            raise

    def _moved(self) -> None:
        """Other gateways may serve the groups now. What was not stored is delivered again, by them."""
        for runner in self._runners.all():
            self._runners.end(runner)


def _claim_of(key: GroupKey) -> str:
    return f"group {key.tenant} {key.name}"
