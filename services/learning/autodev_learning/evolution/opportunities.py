"""Evolution: which runs of skills show that a skill could be better, and who may have it improved."""

import logging
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from autodev_learning.peers.capabilities import Capabilities, Capability, Permission
from autodev_runtime.errors import NotFound

if TYPE_CHECKING:
    from autodev_learning.evolution.canary import Canaries
    from autodev_learning.store.evolution import EvolutionStore

log = logging.getLogger(__name__)

BACKGROUND = "background"
"""Who starts an optimization that no person starts."""


class Trigger(StrEnum):
    """What a run showed."""

    LATENCY = "latency"
    TOKENS = "tokens"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class TriggerLimits:
    """A run above one of these shows a skill that could be better."""

    seconds: float = 5.0
    tokens: int = 5000


@dataclass(frozen=True, slots=True)
class SkillRun:
    """One run of a skill, as reported. `expected` is the literal that `call` must equal, where the runtime knows it."""

    execution_id: str
    agent_id: str
    skill_id: str
    skill_version: str
    seconds: float
    tokens: int
    success: bool
    output: str = ""
    call: str = ""
    expected: str = ""


@dataclass(frozen=True, slots=True)
class Opportunity:
    """A skill version that could be better, for one reason. One a version and trigger."""

    id: str
    skill_id: str
    skill_version: str
    skill_name: str
    agent_id: str
    trigger: Trigger
    execution_id: str
    started_by: str
    mutation_id: str
    skipped_reason: str
    created_at: datetime

    @property
    def under_way(self) -> bool:
        """Whether somebody started it and no limit stopped it."""
        return bool(self.started_by) and not self.skipped_reason


class Start(StrEnum):
    """What becomes of an opportunity that an agent's run shows."""

    NOTHING = "nothing"
    WAITS = "waits"
    """For a person."""
    LIMITED = "limited"
    """It would start by itself, on a day whose limit is not met."""
    BY_ITSELF = "by itself"


def triggers_of(run: SkillRun, limits: TriggerLimits) -> tuple[Trigger, ...]:
    """What a run shows: slower than the limit, more tokens than the limit, a failure."""
    shown = {
        Trigger.LATENCY: run.seconds > limits.seconds,
        Trigger.TOKENS: run.tokens > limits.tokens,
        Trigger.FAILURE: not run.success,
    }
    return tuple(trigger for trigger, is_shown in shown.items() if is_shown)


def no_longer_in_use(version: str, active: str) -> str:
    """Why nothing comes of an opportunity of a version, empty where it is the active one."""
    return "" if version == active else f"version {version} is no longer in use: {active} is"


def start_for(evolver: Permission, background: Permission) -> Start:
    """What an agent's permissions make of an opportunity (design, "Capability gate")."""
    if not evolver.allowed_another_day:
        return Start.NOTHING
    if not background.allowed_another_day:
        return Start.WAITS
    return Start.BY_ITSELF if evolver.allowed else Start.LIMITED


class Evolution:
    """Keeps the runs of skills, and finds opportunities."""

    def __init__(
        self, store: "EvolutionStore", capabilities: Capabilities, canaries: "Canaries", limits: TriggerLimits
    ) -> None:
        self._store = store
        self._capabilities = capabilities
        self._canaries = canaries
        self._limits = limits

    async def keep_run(self, run: SkillRun, caused_by: str) -> None:
        """Keep a run of a skill, and the opportunities it shows. A run of what is no skill of the tenant is no news."""
        skill = await self._store.skill(run.skill_id)
        if skill is None:
            log.debug("run %s is not kept: no skill %s", run.execution_id, run.skill_id)
            return
        shown = triggers_of(run, self._limits)
        start, limit = await self._start_for(run.agent_id) if shown else (Start.NOTHING, "")
        await self._store.keep_run(run, skill, dict.fromkeys(shown, start), limit, caused_by)
        await self._canaries.observe(run, skill.id, caused_by)

    async def start(self, opportunity_id: str, started_by: str) -> Opportunity:
        """Start an opportunity; one that is under way stays as it is, one that a limit stopped is tried again.

        Raises NotFound; PermissionDenied where the agent is below SUPERVISED or the workspace has it turned off;
        FailedPrecondition (VERSION_NOT_ACTIVE).
        """
        opportunity = await self._store.opportunity(opportunity_id)
        if opportunity is None:
            raise NotFound("opportunity", opportunity_id)
        await self._capabilities.demand(opportunity.agent_id, Capability.ALPHA_EVOLVER)
        return await self._store.start(opportunity_id, started_by)

    async def _start_for(self, agent_id: str) -> tuple[Start, str]:
        evolver = await self._capabilities.check(agent_id, Capability.ALPHA_EVOLVER)
        background = await self._capabilities.check(agent_id, Capability.BACKGROUND_EVOLUTION)
        return start_for(evolver, background), evolver.message
