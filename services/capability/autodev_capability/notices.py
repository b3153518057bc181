"""What the service tells the world; `events.py` writes each as an event."""

from dataclasses import dataclass
from datetime import datetime

from autodev_capability.maturity import Maturity


@dataclass(frozen=True, slots=True)
class Cause:
    """The event that led to something; empty for a call."""

    event_id: str = ""
    correlation_id: str = ""


@dataclass(frozen=True, slots=True)
class Unlocked:
    """An agent reached the level that a capability needs; `message` says whether the workspace has it on."""

    agent_id: str
    capability: str
    level: Maturity
    message: str
    cause: Cause


@dataclass(frozen=True, slots=True)
class QuotaMet:
    """A day's limit was met, for the first time that day: one that was changed since is another."""

    agent_id: str
    capability: str
    used: int
    limit: int
    resets_at: datetime


Notice = Unlocked | QuotaMet
