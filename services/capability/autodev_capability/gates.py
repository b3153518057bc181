"""What each capability needs, and the answer to whether an agent may use it now."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from enum import Enum

from autodev_capability.maturity import Agent, Maturity

MEMENTO_SKILLS = "auto_dev.memento_skills"
ALPHA_EVOLVER = "auto_dev.alpha_evolver"
BACKGROUND_EVOLUTION = "auto_dev.background_evolution"


@dataclass(frozen=True, slots=True)
class WorkspaceSettings:
    """What a workspace allows."""

    enabled: bool = False
    memento_skills: bool = True
    alpha_evolver: bool = True
    background_evolution: bool = True
    max_mutations_per_day: int = 10
    max_skill_candidates_per_day: int = 5
    auto_promote: bool = False
    proposers: tuple[str, ...] = ()
    canary_percent: int = 0
    cluster_failures: bool = False


@dataclass(frozen=True, slots=True)
class Gate:
    """A capability and what it needs. `limit_per_agent_per_day` is for custom gates; 0: no limit."""

    capability: str
    required: Maturity
    limit_per_agent_per_day: int = 0
    built_in: bool = False


@dataclass(frozen=True, slots=True)
class Limit:
    """Uses a day, of one agent or of all agents of the tenant."""

    per_day: int
    shared_by_tenant: bool = False


@dataclass(frozen=True, slots=True)
class _BuiltIn:
    gate: Gate
    purpose: str
    is_on: Callable[[WorkspaceSettings], bool]
    limit: Callable[[WorkspaceSettings], Limit | None]


_BUILT_IN = {
    each.gate.capability: each
    for each in (
        _BuiltIn(
            Gate(ALPHA_EVOLVER, Maturity.SUPERVISED, built_in=True),
            "improve its skills when you start it",
            lambda settings: settings.alpha_evolver,
            lambda settings: Limit(settings.max_mutations_per_day, shared_by_tenant=True),
        ),
        _BuiltIn(
            Gate(BACKGROUND_EVOLUTION, Maturity.AUTONOMOUS, built_in=True),
            "improve its skills by itself",
            lambda settings: settings.background_evolution,
            # What it starts takes a use of alpha_evolver, whose limit holds for it too.
            lambda settings: None,
        ),
        _BuiltIn(
            Gate(MEMENTO_SKILLS, Maturity.INTERN, built_in=True),
            "write skills for what it keeps failing at",
            lambda settings: settings.memento_skills,
            lambda settings: Limit(settings.max_skill_candidates_per_day),
        ),
    )
}

BUILT_IN_GATES = tuple(each.gate for each in _BUILT_IN.values())
"""The built-in gates, by name."""


def built_in_gate(capability: str) -> Gate | None:
    """The built-in gate of this name."""
    found = _BUILT_IN.get(capability)
    return found.gate if found is not None else None


def limit_of(gate: Gate, settings: WorkspaceSettings) -> Limit | None:
    """The gate's daily limit; None when it has none."""
    if (built_in := _BUILT_IN.get(gate.capability)) is not None:
        return built_in.limit(settings)
    return Limit(gate.limit_per_agent_per_day) if gate.limit_per_agent_per_day else None


def why_off(gate: Gate, settings: WorkspaceSettings) -> str:
    """Why the workspace has the capability turned off, empty where it is on; a custom one is on where Auto-Dev is."""
    if not settings.enabled:
        return "Auto-Dev is off in this workspace: turn on `enabled` in its settings"
    built_in = _BUILT_IN.get(gate.capability)
    if built_in is not None and not built_in.is_on(settings):
        return f"{gate.capability} is off in this workspace's settings"
    return ""


def day_of(moment: datetime) -> str:
    """The UTC day that a use counts for: "2025-11-24"."""
    return moment.astimezone(UTC).date().isoformat()


def next_day(moment: datetime) -> datetime:
    """When the counts start again."""
    return datetime.combine(moment.astimezone(UTC).date() + timedelta(days=1), time(), UTC)


class Denial(Enum):
    """Why a capability is not allowed. The value is the reason in an error's details."""

    UNKNOWN = "UNKNOWN_CAPABILITY"
    DISABLED = "CAPABILITY_DISABLED"
    MATURITY = "MATURITY_TOO_LOW"
    LIMIT = "QUOTA_EXCEEDED"
    CHECK = "GATE_REFUSED"
    CHECK_AWAY = "GATE_AWAY"
    """Nobody said no: whoever would cannot be asked at the moment."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether an agent may use a capability, why not, and what that was read from."""

    denial: Denial | None
    message: str
    required: Maturity | None = None
    current: Maturity | None = None
    used: int = 0
    limit: Limit | None = None
    resets_at: datetime | None = None

    @property
    def allowed(self) -> bool:
        """Whether a reservation would be granted."""
        return self.denial is None


def unknown(capability: str, agent: Agent) -> Decision:
    """No gate has the name."""
    return Decision(Denial.UNKNOWN, f"no gate is named {capability!r}", current=agent.level_for(capability))


def decide(gate: Gate, settings: WorkspaceSettings, agent: Agent, used: int, now: datetime) -> Decision:
    """Decide by the workspace's switches, then the agent's level, then the day's uses."""
    limit = limit_of(gate, settings)
    current = agent.level_for(gate.capability)
    resets_at = next_day(now) if limit is not None else None

    def answer(denial: Denial | None, message: str) -> Decision:
        return Decision(denial, message, gate.required, current, used, limit, resets_at)

    if off := why_off(gate, settings):
        return answer(Denial.DISABLED, off)
    if current < gate.required:
        message = f"{gate.capability} needs {gate.required.name}; agent {agent.id} is {current.name}"
        return answer(Denial.MATURITY, message)
    if limit is not None and used >= limit.per_day:
        whose = "this workspace" if limit.shared_by_tenant else f"agent {agent.id}"
        message = f"{used} of {limit.per_day} uses of {gate.capability} a day are taken by {whose}"
        return answer(Denial.LIMIT, message)
    return answer(None, f"{gate.capability} is allowed")


def unlocked(before: Agent, after: Agent, gates: tuple[Gate, ...]) -> list[Gate]:
    """The gates that the agent passes now and did not before."""
    return [
        gate for gate in gates if before.level_for(gate.capability) < gate.required <= after.level_for(gate.capability)
    ]


def unlock_message(agent: Agent, gate: Gate, settings: WorkspaceSettings) -> str:
    """What to tell the user about a gate whose level an agent just reached."""
    news = f"Good news: agent {agent.id} is {agent.level_for(gate.capability).name} now."
    built_in = _BUILT_IN.get(gate.capability)
    who, may = ("Auto-Dev", built_in.purpose) if built_in is not None else ("It", f"use {gate.capability}")
    if off := why_off(gate, settings):
        return f"{news} {who} could now {may}, but {off}."
    return f"{news} {who} may now {may}."
