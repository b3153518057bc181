"""Mutations: rewrites of a skill's version, and what is known of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from autodev_learning.evolution.comparison import Behaviour, Purpose
from autodev_learning.evolution.rewriting import Rewrite
from autodev_learning.evolution.timing import Rounds
from autodev_learning.memento.candidates import ExampleResult
from autodev_learning.peers.fitness import Comparison, Runs
from autodev_learning.proof.agreement import GeneratedCheck, Overfit, evidence_of_check
from autodev_learning.skills.provenance import Provenance
from autodev_learning.skills.reviews import Review, SubjectKind, review_of
from autodev_runtime.columns import now
from autodev_sdk.events import uuid7

_EXPERIMENT = "experiment"


class SandboxStatus(StrEnum):
    """How a mutation did in the sandbox."""

    PENDING = "pending"
    PASSED = "passed"
    FAILED = "failed"


class Outcome(StrEnum):
    """Where a mutation stands after its run."""

    OPEN = ""
    IN_REVIEW = "in_review"
    CANARY = "canary"
    PROMOTED = "promoted"
    DISCARDED = "discarded"


@dataclass(frozen=True)
class TrialEnd:
    """How a trial ends without its version being used: `result` is what it counts as.

    `by`: the person whose decision ends it; empty where it ends by itself. `caused_by`: the event that it follows from.
    """

    result: str
    reason: str
    by: str = ""
    caused_by: str = ""


@dataclass(frozen=True)
class Measurements:
    """The runs in turns: a time a round, all inputs together, of the mutation and of its parent."""

    mutation: Runs
    parent: Runs


@dataclass(frozen=True)
class Mutation:
    """A rewrite of a skill's version, or in an experiment of another rewrite of it (`parent_mutation_id`).

    `code` is empty where none could be written; `execution_error` then says why. `examples` tells how it did on each
    known input, `outcome_reason` why it stands where it stands.
    """

    id: str
    request_id: str
    skill_id: str
    skill_name: str
    parent_version: str
    agent_id: str
    code: str
    purpose: Purpose
    provenance: Provenance
    created_at: datetime
    parent_mutation_id: str = ""
    status: SandboxStatus = SandboxStatus.PENDING
    execution_error: str = ""
    examples: tuple[ExampleResult, ...] = ()
    measurements: Measurements | None = None
    variant_id: str | None = None
    time_ratio: float = 0.0
    time_ratio_low: float = 0.0
    time_ratio_high: float = 0.0
    fitness_delta: float = 0.0
    outcome: Outcome = Outcome.OPEN
    outcome_reason: str = ""
    review_id: str | None = None
    generated: GeneratedCheck | None = None
    overfit: Overfit = Overfit.NONE

    @property
    def waits(self) -> bool:
        """Whether a person's approval makes it the next version."""
        return self.outcome in (Outcome.IN_REVIEW, Outcome.CANARY)

    @property
    def parent_tool_id(self) -> str:
        """The version it rewrites, as the contract names it."""
        return tool_id(self.skill_id, self.parent_version)

    @property
    def experiment_id(self) -> str:
        """The experiment that takes care of it; empty for one that events take care of."""
        return experiment_of(self.request_id)

    @property
    def thread(self) -> str:
        """What its events belong to: its experiment, or the mutation."""
        return self.experiment_id or self.id


def tool_id(skill_id: str, version: str) -> str:
    """A version of a skill, as `parent_tool_id` names it."""
    return f"{skill_id}@{version}"


def version_of(tool: str) -> str:
    """The version of a `tool_id`."""
    return tool.rpartition("@")[2]


def request_key(request_id: str) -> str:
    """What makes a caller's mutation unique."""
    return f"request:{request_id}"


def opportunity_key(opportunity_id: str) -> str:
    """What makes an opportunity's mutation unique."""
    return f"opportunity:{opportunity_id}"


def experiment_key(experiment_id: str, iteration: int) -> str:
    """What makes an experiment's mutation unique."""
    return f"{experiment_prefix(experiment_id)}{iteration}"


def experiment_prefix(experiment_id: str) -> str:
    """What the keys of an experiment's mutations begin with."""
    return f"{_EXPERIMENT}:{experiment_id}:"


def experiment_of(key: str) -> str:
    """The experiment of a mutation's key; empty where it is none's."""
    kind, _, rest = key.partition(":")
    return rest.rpartition(":")[0] if kind == _EXPERIMENT else ""


@dataclass(frozen=True)
class Order:
    """A wish for one mutation: `key` makes it unique, `reservation_key` its use of the day's limit."""

    key: str
    reservation_key: str
    skill_id: str
    skill_name: str
    parent_version: str
    agent_id: str
    parent_mutation_id: str = ""


def mutation_from(order: Order, rewrite: Rewrite) -> Mutation:
    """The mutation that a rewrite makes: pending with code, or failed and discarded with the reason."""
    written = bool(rewrite.code)
    return Mutation(
        id=uuid7(),
        request_id=order.key,
        skill_id=order.skill_id,
        skill_name=order.skill_name,
        parent_version=order.parent_version,
        agent_id=order.agent_id,
        code=rewrite.code,
        purpose=rewrite.purpose,
        provenance=rewrite.provenance,
        created_at=now(),
        parent_mutation_id=order.parent_mutation_id,
        status=SandboxStatus.PENDING if written else SandboxStatus.FAILED,
        execution_error=rewrite.reason,
        outcome=Outcome.OPEN if written else Outcome.DISCARDED,
        outcome_reason=rewrite.reason,
    )


def measurements_from(behaviour: Behaviour, parent: Rounds, mutation: Rounds) -> Measurements | None:
    """The runs as they are compared; None where no input could be compared."""
    if not behaviour.compared:
        return None
    return Measurements(
        Runs(mutation.seconds, behaviour.rewrite_correct, behaviour.compared),
        Runs(parent.seconds, behaviour.parent_correct, behaviour.compared),
    )


def review_for(
    mutation: Mutation, parent_code: str, measured: Measurements, comparison: Comparison, scores: tuple[float, float]
) -> Review:
    """The review of a mutation that won. `scores`: its fitness and its parent's."""
    saves = f"{(1 - comparison.time_ratio):.0%} less time" if comparison.time_ratio < 1 else "as it must be"
    return review_of(
        SubjectKind.MUTATION,
        mutation.id,
        mutation.agent_id,
        title=f"{mutation.skill_name} {mutation.parent_version}: {_aim(mutation)}, {saves}",
        code=mutation.code,
        replaces=parent_code,
        evidence=tuple(evidence_for(mutation, measured, comparison, scores)),
        fitness_delta=comparison.fitness_delta,
        overfit=mutation.overfit,
    )


def evidence_for(
    mutation: Mutation, measured: Measurements, comparison: Comparison, scores: tuple[float, float]
) -> list[str]:
    """What speaks for a mutation, a line each."""
    mine, parents = measured.mutation, measured.parent
    score, parent_score = scores
    return [
        f"right on {mine.correct} of {mine.total} known inputs; the version it rewrites on {parents.correct}",
        f"{comparison.time_ratio:.2f} of the time ({comparison.time_ratio_low:.2f} to "
        f"{comparison.time_ratio_high:.2f}): {_median_ms(mine.seconds):.2f} ms on all inputs against "
        f"{_median_ms(parents.seconds):.2f} ms, median of {len(mine.seconds)} rounds in turns",
        f"fitness {score:.2f} against {parent_score:.2f} ({comparison.fitness_delta:+.2f})"
        + ("; the approval of the version it rewrites counts in its score" if comparison.fitness_delta < 0 else ""),
        comparison.explanation,
        *(evidence_of_check(mutation.generated) if mutation.generated else ()),
        *(f"{mutation.provenance.proposer}: {step}" for step in mutation.provenance.steps),
    ]


def _aim(mutation: Mutation) -> str:
    return "made faster" if mutation.purpose is Purpose.FASTER else "mended"


def _median_ms(seconds: Sequence[float]) -> float:
    ordered = sorted(seconds)
    return 1000 * ordered[len(ordered) // 2]
