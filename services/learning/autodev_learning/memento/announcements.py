"""The events of the Memento loop, made from what the rules know. Other services and clients read them."""

from enum import Enum

from google.protobuf.message import Message

from autodev.gateway.v1 import event_pb2
from autodev_learning.memento.candidates import Candidate, ValidationResult
from autodev_learning.memento.reflection import FailurePattern
from autodev_learning.skills.reviews import Decision, Review, SubjectKind
from autodev_learning.skills.runs import Run
from autodev_sdk.events import make_event

MOST_BYTES = 16_000
MOST_EPISODES = 1000
MOST_RUN_SECONDS = 86_400.0


class By(Enum):
    """Who had a version be used, or no longer."""

    PERSON = "person"
    TRIAL = "trial"
    """Nobody: how the version did on trial. The gateway's audit log has an entry of it."""


SUBJECT_KINDS = {
    SubjectKind.CANDIDATE: event_pb2.SUBJECT_KIND_CANDIDATE,
    SubjectKind.MUTATION: event_pb2.SUBJECT_KIND_MUTATION,
}
DECISIONS = {
    Decision.WAITING: event_pb2.DECISION_UNSPECIFIED,
    Decision.APPROVED: event_pb2.DECISION_APPROVED,
    Decision.REJECTED: event_pb2.DECISION_REJECTED,
}


def event_text(text: str, most_bytes: int = MOST_BYTES) -> str:
    """Text as the log takes it: bounded, and without NUL or halves of surrogate pairs."""
    cut = text.replace("\0", "\\0").encode(errors="replace")[:most_bytes]
    return cut.decode(errors="ignore")


def pattern_detected(pattern: FailurePattern, caused_by: str) -> event_pb2.Event:
    """FailurePatternDetected: of a pattern that was found, or that is to be answered after all."""
    return _event(
        event_pb2.FailurePatternDetected(
            pattern_id=pattern.id,
            error_signature=event_text(pattern.error_signature),
            task_description=event_text(pattern.task_description),
            episode_ids=pattern.episode_ids[:MOST_EPISODES],
            failure_count=pattern.failures,
        ),
        pattern.agent_id,
        pattern.episode_ids[-1],
        caused_by,
    )


def candidate_generated(candidate: Candidate, caused_by: str) -> event_pb2.Event:
    """CandidateGenerated."""
    return _event(
        event_pb2.CandidateGenerated(
            candidate_id=candidate.id,
            pattern_id=candidate.pattern_id or "",
            skill_name=candidate.skill_name,
            proposer=candidate.provenance.proposer if candidate.code else "",
            failure_reason=event_text(candidate.result.failure_reason) if candidate.result else "",
        ),
        candidate.agent_id,
        candidate.source_episode_id,
        caused_by,
    )


def candidate_validated(candidate: Candidate, result: ValidationResult, caused_by: str) -> event_pb2.Event:
    """CandidateValidated."""
    return _event(
        event_pb2.CandidateValidated(
            candidate_id=candidate.id,
            passed=result.passes_all,
            visible_examples=result.count(held_out=False),
            visible_passed=result.count_passed(held_out=False),
            held_out_examples=result.count(held_out=True),
            held_out_passed=result.count_passed(held_out=True),
            sandbox_seconds=result.sandbox_seconds,
        ),
        candidate.agent_id,
        candidate.source_episode_id,
        caused_by,
    )


def review_requested(review: Review, correlation_id: str, caused_by: str) -> event_pb2.Event:
    """ReviewRequested."""
    return _event(
        event_pb2.ReviewRequested(
            review_id=review.id,
            subject_kind=SUBJECT_KINDS[review.subject_kind],
            subject_id=review.subject_id,
            title=event_text(review.title, 1000),
        ),
        review.agent_id,
        correlation_id,
        caused_by,
    )


def review_decided(review: Review, variant_id: str, correlation_id: str) -> event_pb2.Event:
    """ReviewDecided."""
    return _event(
        event_pb2.ReviewDecided(
            review_id=review.id,
            subject_kind=SUBJECT_KINDS[review.subject_kind],
            subject_id=review.subject_id,
            decision=DECISIONS[review.decision],
            reviewer=event_text(review.reviewer, 1000),
            reason=event_text(review.reason),
            variant_id=variant_id,
            on_trial=review.on_trial,
        ),
        review.agent_id,
        correlation_id,
        "",
    )


def skill_promoted(
    skill_id: str,
    *,
    skill_name: str,
    version: str,
    agent_id: str,
    subject_id: str,
    correlation_id: str,
    caused_by: str,
    by: By = By.PERSON,
) -> event_pb2.Event:
    """SkillPromoted."""
    return _event(
        event_pb2.SkillPromoted(
            skill_id=skill_id,
            skill_name=skill_name,
            version=version,
            subject_id=subject_id,
            automatic=by is By.TRIAL,
        ),
        agent_id,
        correlation_id,
        caused_by,
    )


def skill_rolled_back(
    skill_id: str,
    *,
    skill_name: str,
    agent_id: str,
    from_version: str,
    to_version: str,
    operator: str,
    reason: str,
    correlation_id: str,
    caused_by: str = "",
    by: By = By.PERSON,
) -> event_pb2.Event:
    """SkillRolledBack."""
    return _event(
        event_pb2.SkillRolledBack(
            skill_id=skill_id,
            skill_name=skill_name,
            from_version=from_version,
            to_version=to_version,
            operator=event_text(operator, 1000),
            reason=event_text(reason),
            automatic=by is By.TRIAL,
        ),
        agent_id,
        correlation_id,
        caused_by,
    )


def skill_trial_started(
    skill_id: str,
    *,
    skill_name: str,
    agent_id: str,
    version: str,
    active_version: str,
    subject_id: str,
    share: float,
    reason: str,
    correlation_id: str,
    caused_by: str,
    by: By,
) -> event_pb2.Event:
    """SkillTrialStarted."""
    return _event(
        event_pb2.SkillTrialStarted(
            skill_id=skill_id,
            skill_name=skill_name,
            version=version,
            active_version=active_version,
            subject_id=subject_id,
            share=share,
            reason=event_text(reason),
            automatic=by is By.TRIAL,
        ),
        agent_id,
        correlation_id,
        caused_by,
    )


def skill_executed(run: Run) -> event_pb2.Event:
    """SkillExecuted. A call that is too long for the event is left out: it cannot be an input to compare on."""
    return _event(
        event_pb2.SkillExecutionEvent(
            execution_id=run.execution_id,
            agent_id=run.agent_id,
            skill_id=run.skill_id,
            skill_name=run.skill_name,
            execution_seconds=min(run.execution_seconds, MOST_RUN_SECONDS),
            success=run.success,
            output=event_text(run.result_literal if run.success else run.error),
            call=run.call if len(run.call.encode()) <= MOST_BYTES else "",
            skill_version=run.skill_version,
        ),
        run.agent_id,
        run.execution_id,
        "",
    )


def _event(payload: Message, agent_id: str, correlation_id: str, caused_by: str) -> event_pb2.Event:
    return make_event(payload, agent_id=agent_id, correlation_id=correlation_id, causation_id=caused_by)
