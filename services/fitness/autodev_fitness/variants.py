"""What is known of a workflow variant."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from autodev_fitness.scoring import ExternalSignal, ProxySignals


@dataclass(frozen=True, slots=True)
class Origin:
    """How a workflow was made of another: the edit, in words what it did, the seed, and where it took steps from."""

    edit: str
    detail: str
    seed: int
    mate_variant_id: str = ""


@dataclass(frozen=True, slots=True)
class Variant:
    """One way of doing a task. Pending, and without a score, until `last_evaluated_at` is set."""

    id: str
    parent_variant_id: str
    agent_id: str
    workflow_definition: Mapping[str, Any]
    fitness_function: str
    created_at: datetime
    fitness_score: float = 0.0
    proxy_signals: ProxySignals | None = None
    proxy_score: float = 0.0
    external_signals: tuple[ExternalSignal, ...] = ()
    last_evaluated_at: datetime | None = None
    origin: Origin | None = None
    weights_version: int | None = None
    """Which weights the score was computed with; None while pending."""
    function_version: str = ""
    """The version of the fitness function that scored the first run, where it states one."""

    @property
    def asked(self) -> tuple[str, str, Mapping[str, Any], str, Origin | None]:
        """What it was to be: its parent, agent, workflow, fitness function and origin."""
        return self.parent_variant_id, self.agent_id, self.workflow_definition, self.fitness_function, self.origin

    @property
    def is_approved(self) -> bool:
        """Whether a person approved."""
        return self.proxy_signals is not None and self.proxy_signals.user_approved


@dataclass(frozen=True, slots=True)
class Cause:
    """The event that led to something, and what that belongs to; empty where a caller states neither."""

    event_id: str = ""
    correlation_id: str = ""


@dataclass(frozen=True, slots=True)
class Scored:
    """A variant has a new score."""

    variant_id: str
    agent_id: str
    score: float
    previous_score: float | None


@dataclass(frozen=True, slots=True)
class Compared:
    """A variant was compared with the original: see `comparison.Comparison`."""

    variant_id: str
    baseline_variant_id: str
    agent_id: str
    mutation_id: str
    time_ratio: float
    time_ratio_low: float
    time_ratio_high: float
    fitness_delta: float
    wins: bool
    explanation: str

    @property
    def asked(self) -> tuple[str, str, str]:
        """What was to be compared, and for which mutation."""
        return self.variant_id, self.baseline_variant_id, self.mutation_id


Notice = Scored | Compared
