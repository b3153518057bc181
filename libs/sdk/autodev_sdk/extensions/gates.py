"""Capability gates: capabilities of your own, the maturity that they need, and a check on top."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import IntEnum


class Maturity(IntEnum):
    """How far an agent is trusted, lowest first (`autodev.capability.v1.MaturityLevel`)."""

    STUDENT = 1
    INTERN = 2
    SUPERVISED = 3
    AUTONOMOUS = 4


@dataclass(frozen=True, slots=True)
class GateQuestion:
    """Who wants to use what: the level that it needs, and the level that the agent has for it."""

    tenant_id: str
    agent_id: str
    capability: str
    required: Maturity
    current: Maturity


@dataclass(frozen=True, slots=True)
class GateAnswer:
    """Whether it may, and why not, in a sentence that the agent's people may read."""

    allowed: bool
    reason: str = ""


def allow(question: GateQuestion) -> GateAnswer:
    """No check but the maturity."""
    return GateAnswer(True)


@dataclass(frozen=True, slots=True)
class CapabilityGate:
    """A capability by name. `check` is asked last and can only refuse; what it raises is a no.

    It may be a coroutine function, and must not block. `limit_per_agent_per_day` 0: none.
    """

    capability: str
    required: Maturity
    check: Callable[[GateQuestion], "GateAnswer | Awaitable[GateAnswer]"] = allow
    limit_per_agent_per_day: int = 0
