"""What a candidate's run says: of each example, of all of them, and to who reviews it."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autodev_learning.examples import Example
from autodev_learning.memento.candidates import ExampleResult, ValidationResult
from autodev_learning.memento.memento import candidate_from
from autodev_learning.memento.reflection import Episode, Outcome
from autodev_learning.memento.validation import evidence_of, examples_shown, result_from, review_of_candidate
from autodev_learning.peers.sandbox import SandboxRun
from autodev_learning.proof.agreement import Difference, GeneratedCheck, Overfit
from autodev_learning.proof.domains import Kind
from autodev_learning.proposers import Proposal
from autodev_learning.trial import CallOutcome, Verdict

EXAMPLES = tuple(Example(f"double({number})", str(2 * number)) for number in range(3))
FAILED = Episode(
    episode_id="e1",
    event_id="v1",
    agent_id="ada",
    outcome=Outcome.FAILURE,
    task_description="double  a\nnumber",
    error_trace="",
    error_signature="",
    code="def double(n):\n    return n\n",
    preamble="",
    examples=EXAMPLES,
    tool_calls=(),
    segments=(),
    occurred_at=datetime(2026, 3, 1, tzinfo=UTC),
)
RIGHT = "def double(n):\n    return n + n\n"
CANDIDATE = candidate_from(FAILED, [FAILED], Proposal(RIGHT, "search", ("n + n",), 4, tried=17, seconds=0.5))


def result(*, passed: bool, held_out: bool = False) -> ExampleResult:
    return ExampleResult("double(1)", "2", "2" if passed else "1", "", passed, held_out)


def run(status: str = "OK", seconds: float = 1.0, isolation: str = "NAMESPACE") -> SandboxRun:
    return SandboxRun(status, None, "", "", 0.1, seconds, isolation)


@pytest.mark.parametrize(
    ("passed", "all_pass", "share"),
    [([], False, 0), ([True], True, 1), ([False], False, 0), ([True, False, True, True], False, 0.75)],
)
def test_only_what_passes_every_example_and_has_one_passes(passed: list[bool], all_pass: bool, share: float) -> None:
    found = ValidationResult(tuple(result(passed=each) for each in passed))
    assert (found.passes_all, found.share_passed) == (all_pass, share)


@pytest.mark.parametrize(
    ("visible", "held_out", "differs", "overfit"),
    [
        ([True, True], [True], None, Overfit.NONE),
        ([True, True], [True, False], None, Overfit.FOUND),
        ([True, False], [False], None, Overfit.NONE),
        ([], [False], None, Overfit.NONE),
        ([True], [], Kind.WITHIN, Overfit.SUSPECTED),
        ([True], [True], Kind.EDGE, Overfit.SUSPECTED),
        ([True], [True], Kind.BEYOND, Overfit.NONE),
        ([True], [False], Kind.BEYOND, Overfit.FOUND),
    ],
)
def test_code_that_fits_what_was_seen_and_little_else_is_overfit(
    visible: list[bool], held_out: list[bool], differs: Kind | None, overfit: Overfit
) -> None:
    results = [result(passed=each) for each in visible] + [result(passed=each, held_out=True) for each in held_out]
    differing = (Difference("double(9)", differs, "18", "9"),) if differs else ()
    checked = GeneratedCheck(9, 8, 7, 0, "1 program that worked", "seed", differing)
    assert ValidationResult(tuple(results), generated=checked).overfit is overfit


def test_each_example_is_told_with_what_the_code_gave_and_whether_it_was_held_out() -> None:
    twice = replace(CANDIDATE, examples=(*EXAMPLES, EXAMPLES[0], EXAMPLES[2]))
    outcomes = (
        CallOutcome("0"),
        CallOutcome(error="ValueError: no"),
        CallOutcome("5"),
        CallOutcome("0"),
        CallOutcome("4"),
    )
    found = result_from(
        twice, Verdict(outcomes, (True, False, False, True, True)), [run(), run("OOM", 2.0, "CONTAINER")]
    )
    assert [(each.call, each.actual, each.error, each.passed, each.held_out) for each in found.examples] == [
        ("double(0)", "0", "", True, False),
        ("double(1)", "", "ValueError: no", False, False),
        ("double(2)", "5", "", False, True),
        ("double(0)", "0", "", True, False),
        ("double(2)", "4", "", True, True),
    ]
    assert (found.sandbox_seconds, found.isolation) == (3.0, "CONTAINER")
    assert "OOM" in found.failure_reason


def test_a_value_is_kept_as_far_as_it_is_shown() -> None:
    outcomes = (CallOutcome(repr("x" * 10_000)), CallOutcome("2"), CallOutcome("4"))
    found = result_from(CANDIDATE, Verdict(outcomes, (False, True, True)), [])
    assert len(found.examples[0].actual) == 4096
    assert (found.isolation, found.failure_reason) == ("", "")


def test_a_reviewer_reads_how_the_code_did_and_where_it_came_from() -> None:
    found = ValidationResult(
        (result(passed=True), result(passed=False), result(passed=True, held_out=True)), 1.25, "NAMESPACE"
    )
    assert evidence_of(found) == (
        "1 of 2 examples that the proposer saw pass",
        "1 of 1 held-out examples pass",
        "1.25 s in the sandbox, isolation NAMESPACE",
    )
    review = review_of_candidate(CANDIDATE, found)
    assert (review.subject_id, review.agent_id, review.code) == (CANDIDATE.id, "ada", RIGHT)
    assert review.title == "Skill double: double a number"
    assert review.evidence[3:] == (
        "preamble, examples and failing code: all of episode e1 of agent ada, 1 of 1 similar failures",
        "example: double(1) is to give 2",
        "example: double(1) is to give 2",
        "held-out example: double(1) is to give 2",
        "written by search in 0.5 s, 17 tried",
        "n + n",
    )
    assert "-    return n\n+    return n + n" in review.diff


def test_a_reviewer_reads_which_of_how_many_failures_the_examples_are_from() -> None:
    alike = [replace(FAILED, episode_id=name) for name in ("e0", "e1", "e2")]
    made = candidate_from(alike[1], alike, Proposal(RIGHT, "search", (), 4, tried=17, seconds=0.5))
    (line,) = [each for each in review_of_candidate(made, ValidationResult()).evidence if "episode" in each]
    assert "all of episode e1 of agent ada, 1 of 3 similar failures" in line


def test_a_packages_examples_are_of_no_episode() -> None:
    imported = replace(CANDIDATE, source_episode_id="")
    assert "episode" not in " ".join(review_of_candidate(imported, ValidationResult()).evidence)


def test_of_many_and_long_examples_the_first_are_shown_as_far_as_fits() -> None:
    many = [ExampleResult(f"f({n})", "x" * n, "", "", passed=True, held_out=False) for n in range(199, 211)]
    lines = examples_shown(many)
    assert lines[1] == f"example: f(200) is to give {'x' * 200}"
    assert lines[2] == f"example: f(201) is to give {'x' * 200}…"
    assert lines[10:] == ("examples not shown here: 2",)
    assert examples_shown(many[:10]) == lines[:10]


@given(st.text())
def test_no_text_of_an_agent_makes_a_line_of_evidence(text: str) -> None:
    example = ExampleResult(text, text, "", "", passed=True, held_out=False)
    named = replace(CANDIDATE, source_episode_id=f"e{text}", agent_id=text)
    steps = replace(named, provenance=replace(named.provenance, steps=(text,)))
    for line in review_of_candidate(steps, ValidationResult((example,))).evidence:
        assert line.replace("\t", " ").isprintable()
