"""Code that may become a skill, and what is known of it."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from autodev_learning.examples import Example
from autodev_learning.memento.reflection import Segment, ToolCall
from autodev_learning.proof.agreement import GeneratedCheck, Overfit
from autodev_learning.proof.domains import Kind
from autodev_learning.skills.provenance import Provenance


class CandidateStatus(StrEnum):
    """Where a candidate stands: pending → validated or failed → approved or rejected → promoted."""

    PENDING = "pending"
    VALIDATED = "validated"
    FAILED = "failed"
    APPROVED = "approved"
    REJECTED = "rejected"
    PROMOTED = "promoted"


@dataclass(frozen=True)
class AnalyzedFailure:
    """What a proposer gets to know of a failure: `visible` examples, and of the held-out ones only how many."""

    task_description: str
    error_signature: str
    tool_calls: tuple[ToolCall, ...]
    segments: tuple[Segment, ...]
    visible: tuple[Example, ...]
    held_out_examples: int
    episode_ids: tuple[str, ...]


@dataclass(frozen=True)
class ExampleResult:
    """How one example went. `actual` is a literal, empty where there was no value; `error` then says why."""

    call: str
    expected: str
    actual: str
    error: str
    passed: bool
    held_out: bool


@dataclass(frozen=True)
class ValidationResult:
    """How a candidate did in the sandbox, or (`failure_reason`) why it never got there, or why it fails after all."""

    examples: tuple[ExampleResult, ...] = ()
    sandbox_seconds: float = 0.0
    isolation: str = ""
    failure_reason: str = ""
    generated: GeneratedCheck | None = None

    def count(self, *, held_out: bool) -> int:
        """How many examples were held out, or were not."""
        return sum(each.held_out is held_out for each in self.examples)

    def count_passed(self, *, held_out: bool) -> int:
        """How many of them passed."""
        return sum(each.held_out is held_out and each.passed for each in self.examples)

    @property
    def passes_all(self) -> bool:
        return bool(self.examples) and all(each.passed for each in self.examples)

    @property
    def overfit(self) -> Overfit:
        """Whether it fits what its proposer saw, and little else. What fails that fits nothing."""
        visible = self.count(held_out=False)
        if not visible or self.count_passed(held_out=False) < visible:
            return Overfit.NONE
        if self.count_passed(held_out=True) < self.count(held_out=True):
            return Overfit.FOUND
        differs = self.generated is not None and any(each.kind is not Kind.BEYOND for each in self.generated.differing)
        return Overfit.SUSPECTED if differs else Overfit.NONE

    @property
    def share_passed(self) -> float:
        """In [0, 1]; 0 without examples."""
        return sum(each.passed for each in self.examples) / len(self.examples) if self.examples else 0.0


@dataclass(frozen=True)
class Candidate:
    """Code that may become a skill; empty where none was found. `failing_code` is a program that it is better than."""

    id: str
    request_id: str
    agent_id: str
    source_episode_id: str
    skill_name: str
    skill_description: str
    code: str
    preamble: str
    failing_code: str
    examples: tuple[Example, ...]
    failure: AnalyzedFailure
    provenance: Provenance
    created_at: datetime
    pattern_id: str | None = None
    status: CandidateStatus = CandidateStatus.PENDING
    result: ValidationResult | None = field(default=None)
    fitness_score: float = 0.0
    review_id: str | None = None
    skill_id: str | None = None
    validated_at: datetime | None = None
    promoted_at: datetime | None = None
