"""What the Memento loop does on events: protobuf to the rules, and nothing else. Each group works on by itself."""

from datetime import UTC, datetime
from functools import partial

import grpc

from autodev.gateway.v1 import event_pb2
from autodev.gateway.v1.event_pb2 import Event, TaskEvent
from autodev_learning.examples import Example
from autodev_learning.memento.announcements import DECISIONS, SUBJECT_KINDS
from autodev_learning.memento.memento import Memento
from autodev_learning.memento.reflection import Episode, Outcome, Reflection, Segment, ToolCall
from autodev_learning.memento.validation import Validation
from autodev_learning.peers.patience import patient_worker
from autodev_learning.similarity import error_signature
from autodev_learning.skills.promotion import Promotion
from autodev_learning.skills.reviews import Decided
from autodev_runtime.structs import struct_from
from autodev_sdk.events import EventWorker

VALIDATIONS_AT_A_TIME = 4

KINDS_OF_SUBJECT = {number: kind for kind, number in SUBJECT_KINDS.items()}
DECISIONS_BACK = {number: decision for decision, number in DECISIONS.items()}


def memento_workers(
    gateway: grpc.aio.Channel,
    reflection: Reflection,
    memento: Memento,
    validation: Validation,
    promotion: Promotion,
    *,
    proposals_at_a_time: int,
    patience_s: float,
) -> list[EventWorker]:
    """The loop's workers: failures to patterns, patterns to candidates, candidates to reviews, reviews to skills."""

    group = partial(patient_worker, gateway, patience_s)
    return [
        group(
            "reflection",
            {
                event_pb2.EVENT_TYPE_TASK_FAILED: partial(on_task_failed, reflection),
                event_pb2.EVENT_TYPE_TASK_SUCCEEDED: partial(on_task_succeeded, reflection),
            },
            16,
        ),
        group(
            "memento",
            {event_pb2.EVENT_TYPE_FAILURE_PATTERN_DETECTED: partial(on_pattern_detected, memento)},
            proposals_at_a_time,
        ),
        group(
            "validation",
            {event_pb2.EVENT_TYPE_CANDIDATE_GENERATED: partial(on_candidate_generated, validation)},
            VALIDATIONS_AT_A_TIME,
        ),
        group("promotion", {event_pb2.EVENT_TYPE_REVIEW_DECIDED: partial(on_review_decided, promotion)}, 4),
    ]


async def on_task_failed(reflection: Reflection, event: Event) -> None:
    """Keep the failure; of a success that the runtime refuted, in its place."""
    task = event.task_failed
    outcome = Outcome.PARTIAL if task.outcome == event_pb2.OUTCOME_PARTIAL else Outcome.FAILURE
    episode = episode_from(event, task, outcome)
    if task.verification == event_pb2.VERIFICATION_REFUTED:
        await reflection.keep_refuted(episode)
    else:
        await reflection.keep_failure(episode)


async def on_task_succeeded(reflection: Reflection, event: Event) -> None:
    """Keep the success; one that the runtime refuted is a failure."""
    task = event.task_succeeded
    if task.verification == event_pb2.VERIFICATION_REFUTED:
        await reflection.keep_refuted(episode_from(event, task, Outcome.FAILURE))
    else:
        await reflection.keep_success(episode_from(event, task, Outcome.SUCCESS))


async def on_pattern_detected(memento: Memento, event: Event) -> None:
    """Write the pattern's candidate."""
    await memento.answer_pattern(event.failure_pattern_detected.pattern_id, event.id)


async def on_candidate_generated(validation: Validation, event: Event) -> None:
    """Run the candidate; one without code has failed already."""
    await validation.validate(event.candidate_generated.candidate_id, event.id)


async def on_review_decided(promotion: Promotion, event: Event) -> None:
    """Promote what was approved."""
    decided = event.review_decided
    await promotion.on_decision(
        Decided(
            review_id=decided.review_id,
            subject_kind=KINDS_OF_SUBJECT[decided.subject_kind],
            subject_id=decided.subject_id,
            decision=DECISIONS_BACK[decided.decision],
            reviewer=decided.reviewer,
            reason=decided.reason,
            event_id=event.id,
            on_trial=decided.on_trial,
        )
    )


def episode_from(event: Event, task: TaskEvent, outcome: Outcome) -> Episode:
    """The attempt that an event reports."""
    return Episode(
        episode_id=task.episode_id,
        event_id=event.id,
        agent_id=task.agent_id or event.agent_id,
        outcome=outcome,
        task_description=task.task_description,
        error_trace=task.error_trace,
        error_signature=error_signature(task.error_trace),
        code=task.code,
        preamble=task.preamble,
        examples=tuple(Example(example.call, example.expected) for example in task.examples),
        tool_calls=tuple(ToolCall(call.name, struct_from(call.arguments), call.error) for call in task.tool_calls),
        segments=tuple(Segment(segment.kind, segment.text) for segment in task.segments),
        occurred_at=_when(event),
    )


def _when(event: Event) -> datetime:
    stated = event.occurred_at if event.HasField("occurred_at") else event.recorded_at
    return stated.ToDatetime(tzinfo=UTC)
