"""What waits for a person, and what people decided."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from autodev_learning.lines import lines_of
from autodev_learning.proof.agreement import Overfit
from autodev_learning.skills.diff import diff_lines
from autodev_runtime.columns import now
from autodev_runtime.errors import FailedPrecondition
from autodev_sdk.events import uuid7

if TYPE_CHECKING:
    from autodev_learning.store.reviews import ReviewStore

MOST_DIFF_CHARACTERS = 256 * 1024


class SubjectKind(StrEnum):
    """What a review is about."""

    CANDIDATE = "candidate"
    MUTATION = "mutation"


class Decision(StrEnum):
    """What a reviewer decided; WAITING until then."""

    WAITING = ""
    APPROVED = "approved"
    REJECTED = "rejected"


class ReviewState(StrEnum):
    """Which reviews to list."""

    ALL = "all"
    WAITING = "waiting"
    DECIDED = "decided"


@dataclass(frozen=True)
class Review:
    """A decision that a person has to make, or made. `evidence`: what speaks for the code, a line each.

    `preamble` is run before the code; a review that was read has it from its subject, as it is promoted.
    `on_trial`: it was approved to run beside the version in use first, until it has proven itself.
    """

    subject_kind: SubjectKind
    subject_id: str
    agent_id: str
    title: str
    code: str
    diff: str
    evidence: tuple[str, ...]
    id: str
    requested_at: datetime
    preamble: str = ""
    fitness_delta: float = 0.0
    overfit: Overfit = Overfit.NONE
    decision: Decision = Decision.WAITING
    reviewer: str = ""
    reason: str = ""
    on_trial: bool = False
    decided_at: datetime | None = None


@dataclass(frozen=True)
class Decided:
    """A decision, as the event of it tells those who act on it. `event_id` names the event."""

    review_id: str
    subject_kind: SubjectKind
    subject_id: str
    decision: Decision
    reviewer: str
    reason: str
    event_id: str
    on_trial: bool = False


def review_of(
    kind: SubjectKind,
    subject_id: str,
    agent_id: str,
    *,
    title: str,
    code: str,
    replaces: str,
    evidence: tuple[str, ...],
    fitness_delta: float = 0.0,
    overfit: Overfit = Overfit.NONE,
) -> Review:
    """A review that waits, with the diff from the code that is to be replaced. No text in the evidence makes a line.

    The diff of two long programs takes up to a second: call it in a thread.
    """
    return Review(
        subject_kind=kind,
        subject_id=subject_id,
        agent_id=agent_id,
        title=title,
        code=code,
        diff=unified_diff(replaces, code),
        evidence=tuple(map(_visible, evidence)),
        id=uuid7(),
        requested_at=now(),
        fitness_delta=fitness_delta,
        overfit=overfit,
    )


def unified_diff(before: str, after: str) -> str:
    """The difference of two programs, as `diff -u` prints it; empty where there is none.

    What would not be seen, or seen as the end of a line or in another order, is written as `<U+2028>`.
    """
    was, now_is = ([line.removesuffix("\n") for line in lines_of(code)] for code in (before, after))
    return "\n".join(map(_visible, diff_lines(was, now_is)))[:MOST_DIFF_CHARACTERS]


def _visible(line: str) -> str:
    return "".join(each if each.isprintable() or each == "\t" else f"<U+{ord(each):04X}>" for each in line)


def decided(
    review: Review, decision: Decision, reviewer: str, reason: str, at: datetime, *, on_trial: bool = False
) -> Review:
    """The review with the decision; the same review where the same was decided before.

    Raises FailedPrecondition (ALREADY_DECIDED) where the other was, (NOTHING_TO_COMPARE) for a candidate on trial.
    """
    if review.decision is decision:
        return review
    if review.decision is not Decision.WAITING:
        raise FailedPrecondition(
            f"review {review.id!r} was {review.decision} by {review.reviewer}",
            reason="ALREADY_DECIDED",
            metadata={"decision": review.decision.upper()},
        )
    if on_trial and review.subject_kind is SubjectKind.CANDIDATE:
        raise FailedPrecondition(
            "a candidate is a skill's first version: none is in use to compare it with on trial",
            reason="NOTHING_TO_COMPARE",
        )
    return replace(review, decision=decision, reviewer=reviewer, reason=reason, decided_at=at, on_trial=on_trial)


def overtaken_by(made_from: str, in_use: str) -> str:
    """What evidence says first of a rewrite of a version that is not the one in use."""
    return f"made from {made_from}; {in_use} is in use: not to be used unless {made_from} is again"


class Reviews:
    """People's decisions. The event of a decision has what was approved promoted."""

    def __init__(self, store: "ReviewStore") -> None:
        self._store = store

    async def get(self, review_id: str) -> Review:
        """The review as it stands: of a rewrite that waits, whether its version is still in use. Raises NotFound."""
        return await self._store.get(review_id)

    async def page(self, state: ReviewState, limit: int, before_id: str | None) -> list[Review]:
        """Reviews, newest first, of those older than `before_id`."""
        return await self._store.page(state, limit, before_id)

    async def decide(
        self, review_id: str, decision: Decision, reviewer: str, reason: str, *, on_trial: bool = False
    ) -> Review:
        """Decide, once. Raises NotFound, FailedPrecondition (ALREADY_DECIDED, NOTHING_TO_COMPARE)."""
        return await self._store.decide(
            review_id, lambda review: decided(review, decision, reviewer, reason, now(), on_trial=on_trial)
        )
