"""When failures are a pattern."""

from datetime import UTC, datetime, timedelta

from autodev_learning.memento.reflection import Failure, PatternRule, Placement, alike, place, signature_key
from autodev_learning.similarity import task_words

START = datetime(2026, 3, 1, tzinfo=UTC)
RULE = PatternRule(threshold=2, window=timedelta(days=7))


def failure(
    name: str, task: str = "add the numbers", signature: str = "", days: float = 0, pattern: str | None = None
) -> Failure:
    return Failure(name, "ada", task_words(task), signature_key(signature), START + timedelta(days=days), pattern)


def placed(new: Failure, others: list[Failure], rule: PatternRule) -> Placement:
    """The plain rule: compare with all of them."""
    return place(new, [each for each in others if alike(new, each)], rule)


def test_one_failure_is_no_pattern() -> None:
    placement = placed(failure("one"), [], RULE)
    assert placement.members == ()
    assert placement.pattern_id is None


def test_two_failures_at_similar_tasks_are_a_pattern_oldest_first() -> None:
    earlier = failure("earlier", "add numbers")
    placement = placed(failure("later", "add the numbers now", days=1), [earlier], RULE)
    assert [each.episode_id for each in placement.members] == ["earlier", "later"]


def test_two_failures_of_one_error_signature_are_a_pattern_whatever_the_task() -> None:
    one = failure("one", "parse dates", "ValueError|bad|f")
    two = failure("two", "sum invoices", "ValueError|bad|f")
    assert len(placed(two, [one], RULE).members) == 2


def test_failures_without_an_error_are_not_similar_for_that() -> None:
    one = failure("one", "parse dates")
    two = failure("two", "sum invoices")
    assert placed(two, [one], RULE).members == ()


def test_failures_further_apart_than_the_window_are_no_pattern() -> None:
    earlier = failure("earlier")
    assert placed(failure("later", days=7.01), [earlier], RULE).members == ()
    assert len(placed(failure("later", days=6.99), [earlier], RULE).members) == 2


def test_a_report_that_comes_late_counts_by_when_it_happened() -> None:
    reported_first = failure("reported first", days=10)
    assert placed(failure("reported later", days=1), [reported_first], RULE).members == ()


def test_the_threshold_counts_the_failure_itself() -> None:
    three = PatternRule(threshold=3)
    assert placed(failure("c"), [failure("a")], three).members == ()
    assert len(placed(failure("c"), [failure("a"), failure("b")], three).members) == 3


def test_a_failure_similar_to_a_pattern_joins_it_and_makes_no_other() -> None:
    known = failure("known", pattern="p1", days=-100)
    loose = failure("loose")
    placement = placed(failure("late"), [loose, known], RULE)
    assert placement.pattern_id == "p1"
    assert placement.members == ()
