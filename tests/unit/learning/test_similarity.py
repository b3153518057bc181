"""Which failures are of a kind."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autodev_learning.memento.reflection import Episode, Failure, Outcome, alike, failure_of
from autodev_learning.similarity import (
    error_signature,
    masked,
    similar_tasks,
    task_words,
    word_overlap,
)

words = st.frozensets(st.text(alphabet="abc", min_size=1, max_size=3), max_size=8)


def failed(task: str, trace: str = "") -> Failure:
    """A failure as it is compared."""
    made = Episode(
        "e", "event", "a", Outcome.FAILURE, task, trace, error_signature(trace), "", "", (), (), (), datetime.now(UTC)
    )
    return failure_of(made)


tasks, traces = st.text(max_size=40), st.text(max_size=80)
failures = st.builds(failed, tasks, traces)

TRACE = """\
Traceback (most recent call last):
  File "/home/{user}/agent.py", line {line}, in main
    total(rows)
  File "/home/{user}/agent.py", line {line}, in total
    return rows['{key}']
KeyError: '{key}'
"""


def test_a_signature_is_type_message_and_last_frame() -> None:
    assert error_signature(TRACE.format(user="ann", line=7, key="sum")) == "KeyError|<text>|total"


def test_where_and_with_what_an_error_came_makes_no_difference() -> None:
    one, other = TRACE.format(user="ann", line=7, key="sum"), TRACE.format(user="bob", line=312, key="amount")
    assert error_signature(one) == error_signature(other)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("ValueError: invalid literal for int(): 'a'", 'ValueError: invalid literal for int(): "b"'),
        ("IndexError: index 10 is out of range", "IndexError: index -2 is out of range"),
        ("OSError: /tmp/a/b.csv is missing", "OSError: /var/c.csv is missing"),
        ("KeyError: 0x7f3a", "KeyError: 0xdeadbeef"),
        (
            "LookupError: order 123e4567-e89b-12d3-a456-426614174000",
            "LookupError: order 00000000-0000-0000-0000-000000000000",
        ),
        ("requests.exceptions.Timeout: after 3.5 s", "Timeout: after 10 s"),
    ],
)
def test_numbers_ids_paths_and_quoted_text_are_masked(left: str, right: str) -> None:
    assert error_signature(left) == error_signature(right)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("ValueError: x", "TypeError: x"),
        ("ValueError: not enough values", "ValueError: too many values"),
        (TRACE.format(user="a", line=1, key="k"), TRACE.format(user="a", line=1, key="k").replace("total", "count")),
    ],
)
def test_another_type_message_or_function_is_another_signature(left: str, right: str) -> None:
    assert error_signature(left) != error_signature(right)


def test_no_trace_has_no_signature_and_two_of_them_are_not_alike() -> None:
    assert error_signature(" \n") == ""
    assert not alike(failed("merge intervals"), failed("parse quoted csv"))


def test_a_trace_of_empty_lines_is_read_once() -> None:
    # Read again from each of its lines, it would take longer than the test has.
    assert error_signature("\n" * 1_000_000 + "  KeyError: 3") == "KeyError|<n>|"
    assert error_signature("  \n" * 500_000 + "\t" * 1_000_000 + "KeyError: 3") == "KeyError|<n>|"


def test_a_task_is_told_by_its_words() -> None:
    assert task_words("Write a function removeExtras(lst) to drop_duplicates") == {
        "remove", "extras", "lst", "drop", "duplicates",
    }  # fmt: skip
    assert similar_tasks("Merge overlapping intervals", "merge the overlapping intervals, sorted")
    assert not similar_tasks("Merge overlapping intervals", "Convert units of length")


def test_half_of_the_longer_is_enough_and_less_is_not() -> None:
    assert similar_tasks("alpha beta", "alpha beta gamma delta")
    assert not similar_tasks("alpha beta", "alpha beta gamma delta epsilon")


def test_common_words_alone_still_tell_a_task_from_nothing() -> None:
    assert task_words("a function to") == {"a", "function", "to"}


@given(words, words)
def test_overlap_is_symmetric_and_between_0_and_1(left: frozenset[str], right: frozenset[str]) -> None:
    overlap = word_overlap(left, right)
    assert overlap == word_overlap(right, left)
    assert 0 <= overlap <= 1
    assert (overlap == 1) == (left == right != frozenset())


@given(failures, failures)
def test_similarity_is_symmetric(left: Failure, right: Failure) -> None:
    assert alike(left, right) == alike(right, left)


@given(tasks, traces)
def test_a_failure_that_says_anything_is_similar_to_itself(task: str, trace: str) -> None:
    assert alike(failed(task, trace), failed(task, trace)) == bool(task_words(task) or trace.strip())


@given(st.text(max_size=200))
def test_masking_twice_changes_nothing_more(message: str) -> None:
    assert masked(masked(message)) == masked(message)
