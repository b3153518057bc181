"""Whether a variant is better than the original."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autodev_fitness.comparison import ComparisonRules, Runs, compare, sign_test

SECONDS = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0)


def runs(seconds: tuple[float, ...] = SECONDS, correct: int = 8, tokens: int = 0) -> Runs:
    return Runs(seconds, correct, 8, tokens)


def times(factor: float, seconds: tuple[float, ...] = SECONDS) -> tuple[float, ...]:
    return tuple(factor * each for each in seconds)


def test_right_on_more_inputs_wins_however_slow_and_dear() -> None:
    comparison = compare(runs(times(9), correct=8, tokens=900), runs(correct=7))
    assert comparison.wins
    assert comparison.explanation.startswith("right on 8 of 8 inputs, the original on 7")
    assert comparison.time_ratio == pytest.approx(9)


def test_right_on_fewer_inputs_loses_however_fast() -> None:
    assert not compare(runs(times(0.01), correct=7), runs()).wins


@pytest.mark.parametrize(("factor", "wins"), [(0.5, True), (0.94, True), (0.96, False), (1.0, False), (2.0, False)])
def test_right_on_as_many_it_must_be_faster_by_a_twentieth(factor: float, wins: bool) -> None:
    comparison = compare(runs(times(factor)), runs())
    assert comparison.wins is wins
    assert comparison.time_ratio == pytest.approx(factor)


def test_noise_is_no_gain() -> None:
    random = Random(7)
    won = sum(
        compare(
            runs(tuple(random.lognormvariate(0, 0.3) for _ in range(20))),
            runs(tuple(random.lognormvariate(0, 0.3) for _ in range(20))),
        ).wins
        for _ in range(400)
    )
    assert won <= 0.05 * 400


def test_a_real_gain_is_found_through_noise_and_a_stalled_run() -> None:
    random = Random(7)
    baseline = tuple(random.lognormvariate(0, 0.2) for _ in range(20))
    variant = tuple(0.5 * random.lognormvariate(0, 0.2) for _ in range(19))
    assert compare(runs((*variant, 2.0)), runs(baseline)).wins


def test_a_gain_on_small_inputs_does_not_hide_a_loss_on_a_large_one() -> None:
    baseline = (0.01,) * 19 + (1.0,)
    variant = (0.005,) * 19 + (3.0,)
    assert not compare(runs(variant), runs(baseline)).wins


@pytest.mark.parametrize(("factor", "wins"), [(0.5, True), (0.51, False)])
def test_of_few_runs_only_an_obvious_gain_counts(factor: float, wins: bool) -> None:
    assert compare(runs(times(factor, (1.0, 2.0, 4.0))), runs((1.0, 2.0, 4.0))).wins is wins


def test_fewer_tokens_win_where_the_time_is_the_same() -> None:
    comparison = compare(runs(tokens=900), runs(tokens=1000))
    assert comparison.wins
    assert "cheaper" in comparison.explanation
    assert not compare(runs(tokens=960), runs(tokens=1000)).wins


def test_a_gain_that_costs_as_much_elsewhere_is_none() -> None:
    assert not compare(runs(times(0.5), tokens=2000), runs(tokens=1000)).wins
    assert not compare(runs(times(2), tokens=500), runs(tokens=1000)).wins


def test_runs_too_short_for_a_clock_compare_as_equal() -> None:
    comparison = compare(runs((0.0,) * 8), runs((0.0,) * 8))
    assert (comparison.time_ratio, comparison.wins) == (1.0, False)


@pytest.mark.parametrize(
    ("ratios", "probability"),
    [([0.5] * 5, 1 / 32), ([0.5] * 4 + [2.0], 6 / 32), ([1.0] * 9, 1.0), ([2.0] * 3, 1.0), ([0.5, 1.0, 0.5], 1 / 4)],
)
def test_the_sign_test_is_exact(ratios: list[float], probability: float) -> None:
    assert sign_test(ratios) == pytest.approx(probability)


def test_the_sign_test_takes_many_pairs() -> None:
    assert sign_test([0.5] * 5000 + [2.0] * 5000) == pytest.approx(0.5, abs=0.01)


def test_what_counts_as_noise_is_a_setting() -> None:
    assert not compare(runs(times(0.9)), runs(), ComparisonRules(least_gain=0.2)).wins


PAIRS = st.lists(st.tuples(st.floats(0, 1e4), st.floats(0, 1e4)), min_size=1, max_size=40)


@given(PAIRS, st.integers(0, 10**6), st.integers(0, 10**6))
def test_of_two_equally_right_variants_at_most_one_wins(
    pairs: list[tuple[float, float]], tokens: int, other_tokens: int
) -> None:
    ours, theirs = (tuple(each) for each in zip(*pairs, strict=True))
    forth = compare(runs(ours, tokens=tokens), runs(theirs, tokens=other_tokens))
    back = compare(runs(theirs, tokens=other_tokens), runs(ours, tokens=tokens))
    assert not (forth.wins and back.wins)
    assert forth == compare(runs(ours, tokens=tokens), runs(theirs, tokens=other_tokens))
