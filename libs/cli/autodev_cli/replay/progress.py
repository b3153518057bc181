"""What came of the failures so far, told by the events alone."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from typing import Any

from autodev.gateway.v1 import event_pb2


class Ending(Enum):
    """What a run waits for."""

    REVIEW = auto()
    """Until all validated candidates wait for a person."""
    PROMOTION = auto()
    """Until all of them are approved and promoted."""


@dataclass
class Learnt:
    """A failure pattern and what came of it."""

    pattern_id: str
    task_id: str
    agent_id: str
    failed_at: datetime
    candidate_id: str = ""
    proposer: str = ""
    given_up: str = ""
    """Why there is no code."""
    validation: event_pb2.CandidateValidated | None = None
    validated_at: datetime | None = None
    review_id: str = ""
    approved: bool = False
    skill: event_pb2.SkillPromoted | None = None

    def awaits(self, ending: Ending) -> str:
        """What has not come yet; empty when all has."""
        if self.given_up or (self.validation is not None and not self.validation.passed):
            return ""
        if not self.candidate_id:
            return "a candidate"
        if self.validation is None:
            return "the validation"
        if not self.review_id:
            return "the request for review"
        if ending is Ending.PROMOTION and self.skill is None:
            return "the promotion"
        return ""

    @property
    def seconds(self) -> float | None:
        """From the failure that made the pattern to its candidate's validation."""
        return (self.validated_at - self.failed_at).total_seconds() if self.validated_at else None


@dataclass
class Progress:
    """The patterns of a run, kept up by `take`.

    Args:
        expected: the agents whose failures must make a pattern, and the task of each.
    """

    expected: Mapping[str, str]
    ending: Ending
    patterns: dict[str, Learnt] = field(default_factory=dict)
    to_approve: list[str] = field(default_factory=list)
    """Reviews that came since they were last taken away."""
    _by_candidate: dict[str, Learnt] = field(default_factory=dict)
    _recorded: dict[str, datetime] = field(default_factory=dict)

    def take(self, event: event_pb2.Event) -> None:
        """Count one event; those of others than this run's agents are left alone."""
        kind = event.WhichOneof("payload")
        handler = _HANDLERS.get(kind or "")
        if handler is not None:
            handler(self, getattr(event, kind or ""), event)

    def skip(self, pattern_id: str, reason: str) -> None:
        """Nothing will come of a pattern, for a reason that no event tells."""
        self.patterns[pattern_id].given_up = reason

    def undone(self) -> list[str]:
        """What is awaited, in words: one entry for each agent or pattern."""
        seen = {each.agent_id for each in self.patterns.values()}
        missing = [f"{agent}: a failure pattern" for agent in self.expected if agent not in seen]
        awaited = [(each, each.awaits(self.ending)) for each in self.patterns.values()]
        return missing + [f"{each.agent_id}: {what}" for each, what in awaited if what]

    def of_task(self, task_id: str) -> list[Learnt]:
        """The patterns of a task's failures."""
        return [each for each in self.patterns.values() if each.task_id == task_id]

    def _failed(self, said: event_pb2.TaskEvent, event: event_pb2.Event) -> None:
        self._recorded[said.episode_id] = event.recorded_at.ToDatetime()

    def _detected(self, said: event_pb2.FailurePatternDetected, event: event_pb2.Event) -> None:
        task_id = self.expected.get(event.agent_id)
        if task_id is None:
            return
        failed_at = max(self._times(said.episode_ids), default=event.recorded_at.ToDatetime())
        self.patterns.setdefault(said.pattern_id, Learnt(said.pattern_id, task_id, event.agent_id, failed_at))

    def _times(self, episode_ids: Iterable[str]) -> list[datetime]:
        return [self._recorded[each] for each in episode_ids if each in self._recorded]

    def _generated(self, said: event_pb2.CandidateGenerated, _: event_pb2.Event) -> None:
        learnt = self.patterns.get(said.pattern_id)
        if learnt is not None:
            learnt.candidate_id, learnt.proposer, learnt.given_up = (
                said.candidate_id,
                said.proposer,
                said.failure_reason,
            )
            self._by_candidate[said.candidate_id] = learnt

    def _validated(self, said: event_pb2.CandidateValidated, event: event_pb2.Event) -> None:
        if learnt := self._by_candidate.get(said.candidate_id):
            learnt.validation, learnt.validated_at = said, event.recorded_at.ToDatetime()

    def _asked(self, said: event_pb2.ReviewRequested, _: event_pb2.Event) -> None:
        learnt = self._by_candidate.get(said.subject_id)
        if learnt is not None and not learnt.review_id:
            learnt.review_id = said.review_id
            self.to_approve.append(said.review_id)

    def _decided(self, said: event_pb2.ReviewDecided, _: event_pb2.Event) -> None:
        if learnt := self._by_candidate.get(said.subject_id):
            learnt.approved = said.decision == event_pb2.DECISION_APPROVED

    def _promoted(self, said: event_pb2.SkillPromoted, _: event_pb2.Event) -> None:
        if learnt := self._by_candidate.get(said.subject_id):
            learnt.skill = said


_HANDLERS: dict[str, Callable[[Progress, Any, event_pb2.Event], None]] = {
    "task_failed": Progress._failed,
    "failure_pattern_detected": Progress._detected,
    "candidate_generated": Progress._generated,
    "candidate_validated": Progress._validated,
    "review_requested": Progress._asked,
    "review_decided": Progress._decided,
    "skill_promoted": Progress._promoted,
}
