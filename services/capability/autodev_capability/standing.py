"""How agents stand: what operators set, what verified work earns, what refuted work costs."""

from collections.abc import Callable, Set
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from functools import partial

from autodev_capability.gates import (
    ALPHA_EVOLVER,
    BUILT_IN_GATES,
    MEMENTO_SKILLS,
    WorkspaceSettings,
    unlock_message,
    unlocked,
)
from autodev_capability.maturity import (
    Agent,
    GraduationRules,
    Maturity,
    MaturityChange,
    approved_work,
    level_set,
    level_taken_back,
    refuted_success,
    refuted_verified_success,
    self_reported_success,
    verified_success,
)
from autodev_capability.notices import Cause, Unlocked
from autodev_capability.store import CapabilityStore, Transaction
from autodev_runtime.errors import NotFound
from autodev_runtime.repeating import repeatable

AGENT_WIDE = ""


class Work(Enum):
    """What an event says of an agent's work."""

    VERIFIED = "a runtime verified a success"
    SELF_REPORTED = "the agent reported a success"
    REFUTED = "a runtime refuted a success that the agent reported"
    CANDIDATE_APPROVED = "a person approved a skill candidate"
    MUTATION_APPROVED = "a person approved a mutation"


def counts(work: Work, counted: Set[Work]) -> bool:
    """Whether what is said of an episode counts, after what was counted of it.

    Each counts once, and a success that was refuted is none, so it does not matter which is heard of first.
    """
    return work not in counted and not (work is Work.VERIFIED and Work.REFUTED in counted)


@dataclass(frozen=True, slots=True)
class _Author:
    changed_by: str
    reason: str


class Standing:
    """Reads and changes agents' levels; every change is recorded."""

    def __init__(self, store: CapabilityStore, rules: GraduationRules, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._rules = rules
        self._clock = clock

    async def agent(self, tenant: str, agent_id: str) -> Agent:
        """The agent; one that was never heard of is a STUDENT without successes."""
        async with self._store.reading(tenant) as transaction:
            return await transaction.standings.agent(agent_id)

    async def agents(self, tenant: str, after: str, limit: int) -> list[Agent]:
        """The agents that were heard of, by id."""
        async with self._store.reading(tenant) as transaction:
            return await transaction.standings.agents(after, limit)

    async def changes(
        self, tenant: str, agent_id: str, before: int | None, limit: int
    ) -> list[tuple[int, MaturityChange]]:
        """Changes of levels with their positions, newest first; of all agents when `agent_id` is empty."""
        async with self._store.reading(tenant) as transaction:
            return await transaction.standings.changes(agent_id, before, limit)

    @repeatable
    async def set_level(
        self, tenant: str, agent_id: str, capability: str, level: Maturity, by: str, reason: str
    ) -> Agent:
        """Set a level, agent-wide when `capability` is empty. Raises NotFound for an unknown capability."""
        step = partial(level_set, capability=capability, level=level, rules=self._rules)
        return await self._decided(tenant, agent_id, capability, step, _Author(by, reason))

    @repeatable
    async def take_back_level(self, tenant: str, agent_id: str, capability: str, by: str, reason: str) -> Agent:
        """Have the agent's own level hold for a capability, whatever was set for it. Raises NotFound as `set_level`."""
        step = partial(level_taken_back, capability=capability, rules=self._rules)
        return await self._decided(tenant, agent_id, capability, step, _Author(by, reason))

    async def _decided(
        self, tenant: str, agent_id: str, capability: str, step: Callable[[Agent], Agent], author: _Author
    ) -> Agent:
        async with self._store.writing(tenant) as transaction:
            if capability and await transaction.standings.gate(capability) is None:
                raise NotFound("capability", capability)
            before = await transaction.standings.agent_to_change(agent_id)
            after = step(before)
            await self._record(transaction, before, after, capability, author)
            return await self._save(transaction, before, after, Cause())

    @repeatable
    async def hear_of(self, tenant: str, agent_id: str) -> None:
        """Have an agent among those that were heard of."""
        async with self._store.reading(tenant) as transaction:
            if await transaction.standings.is_known(agent_id):
                return
        async with self._store.writing(tenant) as transaction:
            await transaction.standings.agent_to_change(agent_id)

    @repeatable
    async def count(self, tenant: str, agent_id: str, work: Work, cause: Cause, day: str, episode_id: str = "") -> None:
        """Count what an event of that day says. The same again, by this event or another of the episode, is nothing."""
        async with self._store.writing(tenant) as transaction:
            # First, so that what another replica counts of the episode is seen.
            before = await transaction.standings.agent_to_change(agent_id)
            if not await transaction.standings.count_once(cause.event_id, day):
                return
            counted: set[Work] = set()
            if episode_id:
                counted = {Work[name] for name in await transaction.standings.counted(agent_id, episode_id)}
                if not counts(work, counted):
                    return
                await transaction.standings.keep_counted(agent_id, episode_id, work.name, day)
            capability, step, author = self._counting(work, counted)
            after = step(before)
            if before.level_for(capability) is not after.level_for(capability):
                await self._record(transaction, before, after, capability, author)
            await self._save(transaction, before, after, cause)

    def _counting(self, work: Work, counted: Set[Work]) -> tuple[str, Callable[[Agent], Agent], _Author]:
        graduation, demotion = _Author("graduation", work.value), _Author("demotion", work.value)
        match work:
            case Work.VERIFIED:
                return AGENT_WIDE, partial(verified_success, rules=self._rules), graduation
            case Work.SELF_REPORTED:
                return AGENT_WIDE, self_reported_success, graduation
            case Work.REFUTED:
                refuted = refuted_verified_success if Work.VERIFIED in counted else refuted_success
                return AGENT_WIDE, partial(refuted, rules=self._rules), demotion
            case Work.CANDIDATE_APPROVED:
                return MEMENTO_SKILLS, partial(approved_work, capability=MEMENTO_SKILLS, rules=self._rules), graduation
            case Work.MUTATION_APPROVED:
                return ALPHA_EVOLVER, partial(approved_work, capability=ALPHA_EVOLVER, rules=self._rules), graduation

    async def _record(
        self, transaction: Transaction, before: Agent, after: Agent, capability: str, author: _Author
    ) -> None:
        levels = before.level_for(capability), after.level_for(capability)
        change = MaturityChange(
            after.id, capability, *levels, changed_by=author.changed_by, reason=author.reason, changed_at=self._clock()
        )
        await transaction.standings.record(change)

    async def _save(self, transaction: Transaction, before: Agent, after: Agent, cause: Cause) -> Agent:
        await transaction.standings.save_agent(before, after)
        gates = (*BUILT_IN_GATES, *await transaction.standings.custom_gates())
        passed = unlocked(before, after, gates)
        settings = await transaction.standings.settings() if passed else WorkspaceSettings()
        for gate in passed:
            level, message = after.level_for(gate.capability), unlock_message(after, gate, settings)
            transaction.announce(Unlocked(after.id, gate.capability, level, message, cause))
        return after
