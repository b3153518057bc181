"""When failures are a pattern."""

from datetime import UTC, datetime, timedelta

from autodev_learning.memento.reflection import Failure, PatternRule, place

START = datetime(2026, 3, 1, tzinfo=UTC)
RULE = PatternRule(threshold=2, window=timedelta(days=7))


def failure(
    name: str, task: str = "add the numbers", signature: str = "", days: float = 0, pattern: str | None = None
) -> Failure:
    return Failure(name, task, signature, START + timedelta(days=days), pattern)


def test_one_failure_is_no_pattern() -> None:
    placement = place(failure("one"), [], RULE)
    assert placement.members == ()
    assert placement.pattern_id is None


def test_two_failures_at_similar_tasks_are_a_pattern_oldest_first() -> None:
    earlier = failure("earlier", "add numbers")
    placement = place(failure("later", "add the numbers now", days=1), [earlier], RULE)
    assert [each.episode_id for each in placement.members] == ["earlier", "later"]


def test_two_failures_of_one_error_signature_are_a_pattern_whatever_the_task() -> None:
    one = failure("one", "parse dates", "ValueError|bad|f")
    two = failure("two", "sum invoices", "ValueError|bad|f")
    assert len(place(two, [one], RULE).members) == 2


def test_failures_without_an_error_are_not_similar_for_that() -> None:
    one = failure("one", "parse dates")
    two = failure("two", "sum invoices")
    assert place(two, [one], RULE).members == ()


def test_failures_further_apart_than_the_window_are_no_pattern() -> None:
    earlier = failure("earlier")
    assert place(failure("later", days=7.01), [earlier], RULE).members == ()
    assert len(place(failure("later", days=6.99), [earlier], RULE).members) == 2


def test_a_report_that_comes_late_counts_by_when_it_happened() -> None:
    reported_first = failure("reported first", days=10)
    assert place(failure("reported later", days=1), [reported_first], RULE).members == ()


def test_the_threshold_counts_the_failure_itself() -> None:
    three = PatternRule(threshold=3)
    assert place(failure("c"), [failure("a")], three).members == ()
    assert len(place(failure("c"), [failure("a"), failure("b")], three).members) == 3


def test_a_failure_similar_to_a_pattern_joins_it_and_makes_no_other() -> None:
    known = failure("known", pattern="p1", days=-100)
    loose = failure("loose")
    placement = place(failure("late"), [loose, known], RULE)
    assert placement.pattern_id == "p1"
    assert placement.members == ()
