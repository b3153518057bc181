"""Deciding a review."""

from dataclasses import replace

import pytest

from autodev_learning.skills.reviews import Decision, SubjectKind, decided, review_of, unified_diff
from autodev_runtime.columns import now
from autodev_runtime.errors import FailedPrecondition

WAITING = review_of(
    SubjectKind.CANDIDATE, "c1", "a1", title="Skill total", code="x = 2\n", replaces="x = 1\n", evidence=()
)


def test_a_review_shows_the_diff_from_what_it_replaces() -> None:
    assert "-x = 1" in WAITING.diff
    assert "+x = 2" in WAITING.diff
    assert unified_diff("x = 1\n", "x = 1\n") == ""


@pytest.mark.parametrize("separator", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\r"])
def test_a_diff_shows_what_would_end_a_line_to_the_eye_only(separator: str) -> None:
    diff = unified_diff("x = 'a\\\nb'\n", f"x = 'a\\{separator}b'\n")
    assert f"<U+{ord(separator):04X}>" in diff
    assert len(diff.splitlines()) == len(diff.split("\n"))


def test_a_diff_shows_what_turns_the_order_of_its_letters() -> None:
    assert "+x = '<U+202E>a'" in unified_diff("x = 'a'\n", "x = '\u202ea'\n")


def test_a_decision_says_who_when_and_why() -> None:
    at = now()
    review = decided(WAITING, Decision.APPROVED, "ada", "it reads well", at)
    assert (review.decision, review.reviewer, review.reason, review.decided_at) == (
        Decision.APPROVED,
        "ada",
        "it reads well",
        at,
    )


def test_the_same_decision_again_changes_nothing() -> None:
    review = decided(WAITING, Decision.REJECTED, "ada", "no", now())
    assert decided(review, Decision.REJECTED, "bob", "me too", now()) is review


def test_a_rewrite_may_be_approved_on_trial_and_stays_so() -> None:
    rewrite = replace(WAITING, subject_kind=SubjectKind.MUTATION)
    review = decided(rewrite, Decision.APPROVED, "ada", "", now(), on_trial=True)
    assert review.on_trial
    assert decided(review, Decision.APPROVED, "bob", "", now()) is review
    assert not decided(rewrite, Decision.APPROVED, "ada", "", now()).on_trial


def test_a_candidate_cannot_be_tried_beside_a_version_that_there_is_not() -> None:
    with pytest.raises(FailedPrecondition) as error:
        decided(WAITING, Decision.APPROVED, "ada", "", now(), on_trial=True)
    assert error.value.reason == "NOTHING_TO_COMPARE"


def test_the_other_decision_is_refused() -> None:
    review = decided(WAITING, Decision.REJECTED, "ada", "no", now())
    with pytest.raises(FailedPrecondition) as error:
        decided(review, Decision.APPROVED, "bob", "yes", now())
    assert error.value.reason == "ALREADY_DECIDED"
    assert error.value.metadata == {"decision": "REJECTED"}
