"""What a failure and a proposer's answer make."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from autodev_learning.examples import Example
from autodev_learning.memento.candidates import CandidateStatus
from autodev_learning.memento.memento import TOLD_PARTS, analyzed, candidate_from, skill_name, telling_failure
from autodev_learning.memento.proposing import defined_names, entry_points_of, fault_of
from autodev_learning.memento.reflection import Episode, Outcome, Segment, ToolCall
from autodev_learning.proposers import NoProposal, Proposal

EXAMPLES = tuple(Example(f"double({n})", str(2 * n)) for n in range(6))
FAILED = Episode(
    episode_id="e1",
    event_id="v1",
    agent_id="a1",
    outcome=Outcome.FAILURE,
    task_description="double a number",
    error_trace="AssertionError",
    error_signature="AssertionError||",
    code="def double(n):\n    return n\n",
    preamble="",
    examples=EXAMPLES,
    tool_calls=(),
    segments=(),
    occurred_at=datetime(2026, 3, 1, tzinfo=UTC),
)
RIGHT = "def double(n):\n    return n + n\n"


def test_a_proposer_is_told_two_of_three_examples_and_how_many_are_held_out() -> None:
    failure = analyzed(FAILED, [FAILED.episode_id])
    assert [example.call for example in failure.visible] == ["double(0)", "double(1)", "double(3)", "double(4)"]
    assert failure.held_out_examples == 2


def test_what_a_failure_tells_is_bounded() -> None:
    long = replace(
        FAILED,
        segments=tuple(Segment("plan", "x" * 10_000) for _ in range(100)),
        tool_calls=tuple(ToolCall("shell", {}, "y" * 10_000) for _ in range(100)),
    )
    failure = analyzed(long, [long.episode_id] * 1000)
    assert len(failure.segments) == len(failure.tool_calls) == TOLD_PARTS
    assert max(len(part.text) for part in failure.segments) == 4000
    assert len(failure.episode_ids) == 256


def test_the_failure_with_the_most_examples_is_the_source_the_latest_of_those() -> None:
    poor = replace(FAILED, episode_id="poor", examples=(), occurred_at=FAILED.occurred_at + timedelta(hours=2))
    later = replace(FAILED, episode_id="later", occurred_at=FAILED.occurred_at + timedelta(hours=1))
    assert telling_failure([FAILED, later, poor]).episode_id == "later"


def test_a_proposal_is_a_pending_candidate_that_records_where_it_came_from() -> None:
    proposal = Proposal(RIGHT, "search", ("replaced n by n + n",), 4, tried=17, seconds=0.5)
    candidate = candidate_from(FAILED, [FAILED], proposal)
    assert candidate.status is CandidateStatus.PENDING
    assert candidate.skill_name == "double"
    assert candidate.examples == EXAMPLES
    assert candidate.provenance.proposer == "search"
    assert candidate.provenance.steps == ("replaced n by n + n",)
    assert candidate.provenance.programs_tried == 17


def test_no_proposal_is_a_failed_candidate_with_the_reason_and_without_code() -> None:
    candidate = candidate_from(FAILED, [FAILED], NoProposal("search", "every edit was tried", tried=9))
    assert candidate.status is CandidateStatus.FAILED
    assert candidate.code == ""
    assert candidate.result is not None
    assert candidate.result.failure_reason == "every edit was tried"


@pytest.mark.parametrize(
    "text", ["# TODO: implement", "", "def f(:\n", "\0", "(" * 500, "'to do'", "pass  # for now", "..."]
)
def test_text_that_is_no_program_is_a_fault(text: str) -> None:
    assert fault_of(text)


def test_a_program_is_no_fault() -> None:
    assert fault_of(RIGHT) == ""


def test_entry_points_are_what_is_called_less_what_python_and_the_preamble_give() -> None:
    calls = ["sorted(split(Point(1, 2)))", "merge([1], len([]))"]
    preamble = "class Point:\n    def __init__(self, x, y): ...\n"
    assert entry_points_of(calls, preamble, []) == ("split", "merge")


def test_a_builtin_that_a_program_defines_is_an_entry_point() -> None:
    assert entry_points_of(["sum([1, 2])"], "", ["def sum(values):\n    return 0\n"]) == ("sum",)


def test_names_of_text_that_is_no_python_are_none() -> None:
    assert defined_names("def f(:") == ()


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("merge", "split"), "merge"),
        ((), "skill"),
        (("größe",), "skill"),
        (("x" * 101,), "skill"),
        (("x" * 100,), "x" * 100),
    ],
)
def test_a_skill_is_named_by_its_first_entry_point_if_clients_can_write_it(
    names: tuple[str, ...], expected: str
) -> None:
    assert skill_name(names) == expected
