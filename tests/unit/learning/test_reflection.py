"""When failures are a pattern."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autodev_learning.memento.reflection import (
    Failure,
    PatternRule,
    Peers,
    Placement,
    alike,
    place,
    same_task,
    signature_key,
)
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
    assert len(placed(failure("later", days=7), [earlier], RULE).members) == 2


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


HARNESS = "AssertionError||check"
TASKS = ["sum even numbers", "reverse word order", "count all vowels", "draw red houses"]


@dataclass
class Told:
    """Failures that were placed one after the other; the number of a pattern is its id."""

    rule: PatternRule = RULE
    kept: list[Failure] = field(default_factory=list)
    answered: list[Failure] = field(default_factory=list)

    def add(self, new: Failure) -> Placement:
        placement = placed(new, self.kept[::-1], self.rule)
        if placement.pattern_id is not None:
            new = replace(new, pattern_id=placement.pattern_id, astray=placement.astray)
        self.kept.append(new)
        if placement.answered is not None:
            members = {each.episode_id: each for each in placement.members}
            pattern = str(len(self.answered))
            self.answered.append(placement.answered)
            self.kept = [
                replace(members[each.episode_id], pattern_id=pattern) if each.episode_id in members else each
                for each in self.kept
            ]
        return placement

    def at(self, tasks: Iterable[str], signature: str = HARNESS) -> "Told":
        """Failures at tasks, an hour apart, all with one error."""
        for number, task in enumerate(tasks, start=len(self.kept)):
            self.add(failure(f"e{number:03}", task, signature, number / 24))
        return self

    def patterns(self) -> list[list[str]]:
        """The failures of each pattern, those that are astray in it with a question mark."""
        return [
            [each.episode_id + "?" * bool(each.astray) for each in self.kept if each.pattern_id == str(number)]
            for number in range(len(self.answered))
        ]


def test_failures_at_another_task_that_came_by_their_error_alone_leave_once_they_are_enough() -> None:
    told = Told().at([TASKS[0], TASKS[0], TASKS[1]])
    assert told.patterns() == [["e000", "e001", "e002?"]]
    assert told.at([TASKS[1]]).patterns() == [["e000", "e001"], ["e002", "e003"]]
    assert told.at([TASKS[1], TASKS[0]]).patterns() == [["e000", "e001", "e005"], ["e002", "e003", "e004"]]


def test_the_task_beside_the_one_that_a_pattern_of_two_is_answered_for_leaves_it_too() -> None:
    told = Told().at([TASKS[0], TASKS[1]])
    assert told.patterns() == [["e000", "e001?"]]
    assert told.at([TASKS[1]]).patterns() == [["e000"], ["e001", "e002"]]


def test_those_at_tasks_that_are_all_different_stay() -> None:
    assert Told().at(TASKS).patterns() == [["e000", "e001?", "e002?", "e003?"]]


def test_failures_at_no_task_join_by_their_error() -> None:
    told = Told().at([TASKS[0], TASKS[0], "...", "!", "..."])
    assert told.patterns() == [["e000", "e001", "e002", "e003", "e004"]]
    one_is_enough = Told(PatternRule(threshold=1)).at([TASKS[0], "...", TASKS[1]])
    assert one_is_enough.patterns() == [["e000", "e001"], ["e002"]]


def test_a_failure_at_no_task_that_was_the_first_keeps_nothing_from_leaving() -> None:
    assert Told().at(["...", TASKS[0], "!", TASKS[0]]).patterns() == [["e000", "e002"], ["e001", "e003"]]


def test_those_that_are_further_apart_than_the_window_do_not_leave() -> None:
    told = Told().at([TASKS[0], TASKS[0], TASKS[1]])
    told.add(failure("late", TASKS[1], HARNESS, days=8))
    assert told.patterns() == [["e000", "e001", "e002?", "late?"]]
    told.add(failure("later", TASKS[1], HARNESS, days=9))
    assert told.patterns() == [["e000", "e001", "e002?"], ["late", "later"]]


@pytest.mark.parametrize("first", ["by its error", "in no pattern"])
def test_one_in_no_pattern_and_one_that_came_by_its_error_make_one_by_their_task(first: str) -> None:
    told = Told().at([TASKS[0], TASKS[0]])
    both = [failure("by its error", TASKS[1], HARNESS), failure("in no pattern", TASKS[1], "KeyError||f")]
    for each in sorted(both, key=lambda each: each.episode_id != first):
        told.add(each)
    assert told.patterns() == [["e000", "e001"], [each.episode_id for each in told.kept[2:]]]


def test_a_pattern_is_answered_for_the_task_that_is_enough_by_itself() -> None:
    three = Told(PatternRule(threshold=3))
    three.add(failure("other", TASKS[0], HARNESS))
    three.at([TASKS[1]] * 2, "")
    placement = three.add(failure("last", TASKS[1], HARNESS, days=1))
    assert three.patterns() == [["other?", "e001", "e002", "last"]]
    assert placement.answered is not None
    assert placement.answered.episode_id == "e001"


def test_a_pattern_is_answered_for_a_failure_that_has_examples() -> None:
    poor, rich = failure("a", TASKS[0], HARNESS), replace(failure("b", TASKS[1], HARNESS), has_examples=True)
    placement = placed(rich, [poor], RULE)
    assert placement.answered == rich
    assert [each.astray for each in placement.members] == [True, False]


def test_too_few_of_a_task_wait_in_one_pattern_whatever_came_last() -> None:
    waits = replace(failure("waits", TASKS[1], HARNESS, pattern="p1", days=-30), astray=True)
    latest = replace(failure("latest", TASKS[2], HARNESS, pattern="p2"), astray=False)
    assert placed(failure("new", TASKS[1], HARNESS), [latest, waits], RULE) == Placement("p1", astray=True)


def test_what_tasks_lead_to_step_by_step_stays_with_the_pattern() -> None:
    told = Told().at(["a1 b1 c1 d1", "a1 b1 c1 d1", "c1 d1 e1 f1", "e1 f1 g1 h1", "e1 f1 g1 h1"], "")
    assert told.patterns() == [["e000", "e001", "e002", "e003", "e004"]]


def test_where_an_earlier_release_placed_one_the_patterns_task_tells_whether_it_is_at_home() -> None:
    words = task_words(TASKS[0])
    own = replace(failure("own", TASKS[0], HARNESS, pattern="p1"), answered_words=words)
    other = replace(failure("other", TASKS[1], HARNESS, pattern="p1"), answered_words=words)
    assert placed(failure("late", TASKS[0], HARNESS), [other, own], RULE) == Placement("p1", astray=False)
    assert placed(failure("late", TASKS[1], HARNESS), [other, own], RULE) == Placement("p1", astray=True)


ORDERS = st.lists(st.sampled_from(TASKS), min_size=1, max_size=12)


@given(tasks=ORDERS, threshold=st.integers(2, 4))
def test_with_one_error_each_task_that_fails_often_enough_has_a_pattern_and_the_others_have_one_at_most(
    tasks: list[str], threshold: int
) -> None:
    """The rule as a reader has it, whatever the order."""
    told = Told(PatternRule(threshold)).at(tasks)
    often = {task for task, count in Counter(tasks).items() if count >= threshold}
    answered = [TASKS[task_of(each)] for each in told.answered]
    assert len(set(answered)) == len(answered)
    assert often <= set(answered)
    assert len(set(answered) - often) <= 1
    for number, task in enumerate(answered):
        here = {each.episode_id for each in told.kept if each.pattern_id == str(number) and not each.astray}
        assert here == {each.episode_id for each, its in zip(told.kept, tasks, strict=True) if its == task}
    assert all(each.pattern_id for each in told.kept) is (len(tasks) >= threshold)


def task_of(failure: Failure) -> int:
    return [task_words(task) for task in TASKS].index(failure.words)


WORDS = st.lists(st.sampled_from("abcdef"), max_size=5).map(" ".join)
FAILURES = st.lists(
    st.tuples(WORDS, st.sampled_from(["", HARNESS, "KeyError||f"]), st.sampled_from([0, 2, 5, 9])), max_size=14
)


@given(reported=FAILURES, threshold=st.integers(1, 4))
def test_nobody_waits_where_they_are_enough_and_who_is_at_home_stays(
    reported: Sequence[tuple[str, str, float]], threshold: int
) -> None:
    told = Told(PatternRule(threshold))
    for number, (task, signature, days) in enumerate(reported):
        before = {each.episode_id: each for each in told.kept}
        new = failure(f"e{number:03}", task, signature, days)
        waiting = [each for each in told.kept if is_waiting(each) and same_task(new, each) and is_near(new, each)]
        placement = told.add(new)
        after = {each.episode_id: each for each in told.kept}
        if is_waiting(after[new.episode_id]):
            assert len(waiting) + 1 < threshold
        for name, each in before.items():
            assert after[name].pattern_id is not None or each.pattern_id is None
            assert is_waiting(each) or after[name] == each
        # Who leaves does so for others at its task, and for good.
        assert {name for name, each in before.items() if each.astray and after[name] != each} <= {
            each.episode_id for each in waiting
        }
        if placement.answered is not None:
            assert len(placement.members) >= threshold
            assert after[placement.answered.episode_id].astray is False


def is_waiting(each: Failure) -> bool:
    return each.pattern_id is None or bool(each.astray)


def is_near(one: Failure, other: Failure) -> bool:
    return abs(one.occurred_at - other.occurred_at) <= RULE.window


def test_an_agent_that_was_asked_about_counts_from_then_on_or_does_not() -> None:
    peers = Peers(allowed=frozenset(["ada"])).with_answer("bob", allowed=True).with_answer("eve", allowed=False)
    assert peers == Peers(allowed=frozenset(["ada", "bob"]), denied=frozenset(["eve"]))
