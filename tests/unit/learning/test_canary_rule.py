"""When a trial ends: seldom for a version that fails as often, soon for one that fails more."""

from math import comb
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autodev_learning.evolution.canary_rule import Arm, Look, Standing, TrialRule, Verdict, p_value, verdict

RULE = TrialRule()
SHARE = 0.2
BEFORE = 50


def trial(random: Random, canary_failure: float, stable_failure: float, share: float = SHARE) -> tuple[Verdict, int]:
    """A whole trial, run by run, as the service sees it: how it ended, and after how many runs of the canary."""
    stable = [random.random() < stable_failure for _ in range(BEFORE)]
    canary: list[bool] = []
    looks: list[Look] = []
    while True:
        if random.random() >= share:
            stable.append(random.random() < stable_failure)
            continue
        canary.append(random.random() < canary_failure)
        now = Look(Arm(len(canary), sum(canary)), Arm(len(stable), sum(stable)))
        if len(canary) in RULE.looks:
            looks.append(now)
        found = verdict(now, looks, RULE)
        if found.standing is not Standing.GOES_ON:
            return found, len(canary)


@pytest.mark.parametrize("failure", [0.0, 0.05, 0.2, 0.5])
def test_a_version_that_fails_as_often_is_seldom_rolled_back(failure: float) -> None:
    random = Random(f"equal {failure}")
    ends = [trial(random, failure, failure)[0].standing for _ in range(400)]
    assert ends.count(Standing.WORSE) / len(ends) <= RULE.error
    assert ends.count(Standing.PASSED) / len(ends) >= 0.9


@pytest.mark.parametrize(("worse", "stable", "within"), [(1.0, 0.0, 3), (1.0, 0.2, 8), (0.5, 0.02, 21), (0.5, 0.1, 34)])
def test_a_version_that_is_clearly_worse_is_rolled_back_soon(worse: float, stable: float, within: int) -> None:
    random = Random(f"worse {worse} {stable}")
    ends = [trial(random, worse, stable) for _ in range(200)]
    soon = [runs <= within for found, runs in ends if found.standing is Standing.WORSE]
    assert sum(soon) / len(ends) >= 0.95
    assert not any(found.standing is Standing.PASSED for found, _ in ends)


def test_a_version_that_fails_somewhat_more_often_seldom_passes() -> None:
    random = Random("somewhat worse")
    ends = [trial(random, 0.3, 0.05)[0].standing for _ in range(300)]
    assert ends.count(Standing.PASSED) / len(ends) <= 0.05


arms = st.integers(1, 30).flatmap(lambda runs: st.builds(Arm, st.just(runs), st.integers(0, runs)))


@given(arms, arms)
def test_the_p_value_is_a_probability_and_falls_with_each_failure(canary: Arm, stable: Arm) -> None:
    value = p_value(canary, stable)
    assert 0 <= value <= 1
    if canary.failed < canary.runs and stable.failed:
        assert p_value(Arm(canary.runs, canary.failed + 1), Arm(stable.runs, stable.failed - 1)) <= value


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 12))
def test_under_equal_success_a_p_value_is_as_seldom_small_as_it_says(mine: int, others: int, failed: int) -> None:
    failed = min(failed, mine + others)
    limit = RULE.p_limit
    share = 0.0
    for place in range(max(0, failed - others), min(mine, failed) + 1):
        if p_value(Arm(mine, place), Arm(others, failed - place)) < limit:
            share += comb(mine, place) * comb(others, failed - place) / comb(mine + others, failed)
    assert share < limit


def test_all_looks_together_have_the_whole_error() -> None:
    for most in (3, 20, 100, 1000):
        rule = TrialRule(most_runs=most)
        assert len(rule.looks) * rule.p_limit == pytest.approx(rule.error)
        assert rule.looks == tuple(sorted(set(rule.looks)))
        assert rule.looks[-1] == rule.last >= rule.good_runs


@pytest.mark.parametrize(
    ("canary", "stable", "expected"),
    [
        (Arm(1, 0), Arm(0, 0), Standing.GOES_ON),
        (Arm(1, 1), Arm(0, 0), Standing.WORSE),
        (Arm(1, 1), Arm(9, 0), Standing.WORSE),
        (Arm(1, 1), Arm(10, 0), Standing.GOES_ON),
        (Arm(19, 0), Arm(0, 0), Standing.GOES_ON),
        (Arm(20, 0), Arm(0, 0), Standing.PASSED),
        (Arm(20, 1), Arm(400, 8), Standing.GOES_ON),
        (Arm(21, 1), Arm(400, 8), Standing.PASSED),
        (Arm(40, 2), Arm(100, 0), Standing.PASSED),
        (Arm(40, 3), Arm(100, 0), Standing.GOES_ON),
        (Arm(22, 2), Arm(100, 5), Standing.PASSED),
        (Arm(24, 4), Arm(100, 5), Standing.GOES_ON),
        (Arm(99, 15), Arm(400, 20), Standing.GOES_ON),
        (Arm(100, 15), Arm(400, 20), Standing.UNDECIDED),
    ],
)
def test_where_a_trial_stands(canary: Arm, stable: Arm, expected: Standing) -> None:
    assert verdict(Look(canary, stable), [], RULE).standing is expected


def test_an_earlier_look_counts_whatever_came_after() -> None:
    bad, good = Look(Arm(3, 3), Arm(62, 0)), Look(Arm(34, 3), Arm(100, 0))
    assert verdict(good, [good], RULE).standing is Standing.GOES_ON
    found = verdict(good, [bad, good], RULE)
    assert found.standing is Standing.WORSE
    assert "3 of 3" in found.reason


@pytest.mark.parametrize(("stable_runs", "expected"), [(9, Standing.PASSED), (10, Standing.WORSE)])
def test_a_look_counts_once_there_are_runs_to_compare_with(stable_runs: int, expected: Standing) -> None:
    early = Look(Arm(3, 3), Arm(stable_runs, 0))
    assert p_value(early.canary, early.stable) < RULE.p_limit
    assert verdict(Look(Arm(80, 3), Arm(300, 0)), [early], RULE).standing is expected
