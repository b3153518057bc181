"""How far an agent is trusted, and how it earns and loses trust.

A level is earned by *credit*: verified successes since the level was last set. Setting a level, by an operator or by a
demotion, sets the credit to what that level takes, so that neither undoes itself at the next success: an agent with
60 successes that was put back to STUDENT works its way up again from 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import IntEnum
from types import MappingProxyType


class Maturity(IntEnum):
    """Levels of trust, lowest first."""

    STUDENT = 1
    INTERN = 2
    SUPERVISED = 3
    AUTONOMOUS = 4


@dataclass(frozen=True, slots=True)
class GraduationRules:
    """What a level takes, and what a refuted success costs."""

    intern: int = 5
    supervised: int = 20
    autonomous: int = 50
    refutations_to_demote: int = 1

    def credit_for(self, level: Maturity) -> int:
        """The verified successes that a level takes."""
        return (0, self.intern, self.supervised, self.autonomous)[level - 1]

    def level_for(self, credit: int) -> Maturity:
        """The highest level that so many verified successes earn."""
        return max(level for level in Maturity if credit >= self.credit_for(level))


DEFAULT_RULES = GraduationRules()


@dataclass(frozen=True, slots=True)
class Progress:
    """A level, the credit toward the next, and the refutations since the last demotion."""

    level: Maturity = Maturity.STUDENT
    credit: int = 0
    refutations: int = 0

    def credited(self, rules: GraduationRules) -> "Progress":
        """After one verified success. Never lower: raised thresholds take nothing back."""
        credit = self.credit + 1
        return replace(self, credit=credit, level=max(self.level, rules.level_for(credit)))

    def refuted(self, rules: GraduationRules) -> "Progress":
        """After one refuted success: every `refutations_to_demote` of them cost a level, and the credit within it."""
        if self.refutations + 1 < rules.refutations_to_demote:
            return replace(self, refutations=self.refutations + 1)
        lower = Maturity(max(self.level - 1, Maturity.STUDENT))
        return Progress(lower, rules.credit_for(lower))

    def uncredited(self, rules: GraduationRules) -> "Progress":
        """After one verified success turned out to be none. What the level takes stays: refutations cost levels."""
        return replace(self, credit=self.credit - 1) if self.credit > rules.credit_for(self.level) else self

    def set_to(self, level: Maturity, rules: GraduationRules) -> "Progress":
        """After someone set the level; setting the level it has keeps the credit within it."""
        return self if level is self.level else Progress(level, rules.credit_for(level))


@dataclass(frozen=True, slots=True)
class CapabilityStanding:
    """What an agent earned, or was given, for one capability."""

    progress: Progress = Progress()
    verified_successes: int = 0
    set_by_operator: bool = False


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent's standing. Successes are counts for the record; levels follow from `progress`."""

    id: str
    progress: Progress = Progress()
    verified_successes: int = 0
    self_reported_successes: int = 0
    capabilities: Mapping[str, CapabilityStanding] = field(default_factory=lambda: MappingProxyType({}))

    def level_for(self, capability: str) -> Maturity:
        """The level that holds for a capability.

        One that an operator set for the capability holds as it is; one that was earned there only adds to the
        agent-wide one.
        """
        own = self.capabilities.get(capability)
        if own is None:
            return self.progress.level
        return own.progress.level if own.set_by_operator else max(own.progress.level, self.progress.level)


@dataclass(frozen=True, slots=True)
class MaturityChange:
    """One change of a level, for the record. An empty `capability`: agent-wide."""

    agent_id: str
    capability: str
    before: Maturity
    after: Maturity
    changed_by: str
    reason: str
    changed_at: datetime


def verified_success(agent: Agent, rules: GraduationRules) -> Agent:
    """A runtime verified a success: counts for the agent-wide level."""
    return replace(agent, progress=agent.progress.credited(rules), verified_successes=agent.verified_successes + 1)


def self_reported_success(agent: Agent) -> Agent:
    """An agent reported a success: kept, and counts for nothing."""
    return replace(agent, self_reported_successes=agent.self_reported_successes + 1)


def refuted_success(agent: Agent, rules: GraduationRules) -> Agent:
    """A runtime found that a reported success was none: can demote agent-wide.

    Levels of a single capability stay: people's approvals earned them, not the agent's reports.
    """
    return replace(agent, progress=agent.progress.refuted(rules))


def refuted_verified_success(agent: Agent, rules: GraduationRules) -> Agent:
    """A runtime found that a success which it had verified was none: it is not counted any more, and refuted."""
    uncounted = replace(
        agent, progress=agent.progress.uncredited(rules), verified_successes=agent.verified_successes - 1
    )
    return refuted_success(uncounted, rules)


def approved_work(agent: Agent, capability: str, rules: GraduationRules) -> Agent:
    """A person approved what a capability made for the agent: counts for that capability."""
    own = agent.capabilities.get(capability, CapabilityStanding())
    counted = replace(own, progress=own.progress.credited(rules), verified_successes=own.verified_successes + 1)
    return _with(agent, capability, counted)


def level_set(agent: Agent, capability: str, level: Maturity, rules: GraduationRules) -> Agent:
    """An operator set a level: for one capability, or agent-wide when `capability` is empty."""
    if not capability:
        return replace(agent, progress=agent.progress.set_to(level, rules))
    own = agent.capabilities.get(capability, CapabilityStanding())
    return _with(agent, capability, replace(own, progress=own.progress.set_to(level, rules), set_by_operator=True))


def level_taken_back(agent: Agent, capability: str, rules: GraduationRules) -> Agent:
    """An operator's level for a capability holds no more: what approvals earned for it counts as if it never had."""
    own = agent.capabilities.get(capability)
    if own is None or not own.set_by_operator:
        return agent
    earned = Progress(rules.level_for(own.verified_successes), own.verified_successes)
    return _with(agent, capability, replace(own, progress=earned, set_by_operator=False))


def _with(agent: Agent, capability: str, standing: CapabilityStanding) -> Agent:
    return replace(agent, capabilities=MappingProxyType({**agent.capabilities, capability: standing}))
