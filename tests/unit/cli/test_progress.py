"""Counting what came of failures, from events alone."""

from datetime import UTC, datetime, timedelta

from google.protobuf.message import Message

from autodev.gateway.v1 import event_pb2
from autodev_cli.replay.progress import Ending, Progress
from autodev_cli.replay.results import SkillCheck, TaskRun, result_of
from autodev_sdk import make_event

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def event(payload: Message, agent: str = "ann", seconds: float = 0.0) -> event_pb2.Event:
    made = make_event(payload, agent_id=agent)
    made.recorded_at.FromDatetime(BEGAN + timedelta(seconds=seconds))
    return made


def failure(episode_id: str) -> event_pb2.TaskEvent:
    return event_pb2.TaskEvent(episode_id=episode_id, agent_id="ann", outcome=event_pb2.OUTCOME_FAILURE)


DETECTED = event_pb2.FailurePatternDetected(pattern_id="p", episode_ids=["e1", "e2"], failure_count=2)
GENERATED = event_pb2.CandidateGenerated(candidate_id="c", pattern_id="p", proposer="search", skill_name="f")
VALIDATED = event_pb2.CandidateValidated(
    candidate_id="c",
    passed=True,
    visible_examples=4,
    visible_passed=4,
    held_out_examples=2,
    held_out_passed=2,
    sandbox_seconds=0.5,
)
ASKED = event_pb2.ReviewRequested(review_id="r", subject_id="c", subject_kind=event_pb2.SUBJECT_KIND_CANDIDATE)
DECIDED = event_pb2.ReviewDecided(review_id="r", subject_id="c", decision=event_pb2.DECISION_APPROVED)
PROMOTED = event_pb2.SkillPromoted(skill_id="s", skill_name="f", version="1.0.0", subject_id="c")


def test_the_loop_is_followed_to_the_promotion() -> None:
    progress = Progress({"ann": "t"}, Ending.PROMOTION)
    steps: list[tuple[Message, float, list[str]]] = [
        (failure("e1"), 0, ["ann: a failure pattern"]),
        (failure("e2"), 1, ["ann: a failure pattern"]),
        (DETECTED, 2, ["ann: a candidate"]),
        (GENERATED, 3, ["ann: the validation"]),
        (VALIDATED, 4, ["ann: the request for review"]),
        (ASKED, 5, ["ann: the promotion"]),
        (DECIDED, 6, ["ann: the promotion"]),
        (PROMOTED, 7, []),
    ]
    for payload, seconds, undone in steps:
        progress.take(event(payload, seconds=seconds))
        assert progress.undone() == undone
    assert progress.to_approve == ["r"]
    result = result_of(
        TaskRun("t", 2, 1, 0.1, BEGAN.timestamp()), progress.of_task("t"), [SkillCheck("f", "1.0.0", 6, 6, 2, 2)], 0.7
    )
    assert (result.patterns, result.candidates, result.validated, result.approved, result.promoted) == (1, 1, 1, 1, 1)
    assert (result.held_out_passed, result.held_out_examples) == (2, 2)
    assert (result.skills_passing_all, result.skills_checked) == (1, 1)
    assert (result.first_validated_s, result.median_s) == (4.0, 3.0)
    assert (result.proposers, result.sandbox_s, result.proposing_s) == ({"search": 1}, 0.5, 0.7)


def test_without_approval_it_ends_at_the_request_for_review() -> None:
    progress = Progress({"ann": "t"}, Ending.REVIEW)
    for payload in (DETECTED, GENERATED, VALIDATED, ASKED):
        progress.take(event(payload))
    assert progress.undone() == []


def test_a_candidate_without_code_or_that_fails_ends_its_pattern() -> None:
    given_up = Progress({"ann": "t"}, Ending.PROMOTION)
    for payload in (DETECTED, event_pb2.CandidateGenerated(candidate_id="c", pattern_id="p", failure_reason="no idea")):
        given_up.take(event(payload))
    assert given_up.undone() == []
    result = result_of(TaskRun("t", 2, 0, 0.1, BEGAN.timestamp()), given_up.of_task("t"), [], 0.0)
    assert (result.candidates, result.validated, result.without_candidate) == (0, 0, ("no idea",))
    assert (result.first_validated_s, result.median_s) == (None, None)

    failed = Progress({"ann": "t"}, Ending.PROMOTION)
    for said in (DETECTED, GENERATED, event_pb2.CandidateValidated(candidate_id="c", passed=False)):
        failed.take(event(said))
    assert failed.undone() == []


def test_a_pattern_that_a_limit_stopped_is_not_waited_for() -> None:
    progress = Progress({"ann": "t"}, Ending.PROMOTION)
    progress.take(event(DETECTED))
    progress.skip("p", "the limit is met")
    assert progress.undone() == []


def test_others_agents_are_left_alone() -> None:
    progress = Progress({"ann": "t"}, Ending.PROMOTION)
    for payload in (DETECTED, GENERATED, VALIDATED, ASKED, PROMOTED):
        progress.take(event(payload, agent="bob"))
    assert progress.patterns == {}
    assert progress.to_approve == []
    assert progress.undone() == ["ann: a failure pattern"]


def test_a_review_is_taken_once_however_often_it_is_asked_for() -> None:
    progress = Progress({"ann": "t"}, Ending.PROMOTION)
    for payload in (DETECTED, GENERATED, VALIDATED, ASKED, ASKED):
        progress.take(event(payload))
    assert progress.to_approve == ["r"]
