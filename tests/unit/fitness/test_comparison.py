"""Whether a variant is better than the original."""

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autodev_fitness.comparison import ComparisonRules, Runs, compare

SECONDS = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0)


def runs(seconds: tuple[float, ...] = SECONDS, correct: int = 8, tokens: int = 0) -> Runs:
    return Runs(seconds, correct, 8, tokens)


def times(factor: float, seconds: tuple[float, ...] = SECONDS) -> tuple[float, ...]:
    return tuple(factor * each for each in seconds)


def test_right_on_more_inputs_wins_however_slow_and_dear() -> None:
    comparison = compare(runs(times(9), correct=8, tokens=900), runs(correct=7))
    assert comparison.wins
    assert comparison.explanation.startswith("right on 8 of 8 inputs, the original on 7")
    assert comparison.time.median == pytest.approx(9)


def test_right_on_fewer_inputs_loses_however_fast() -> None:
    assert not compare(runs(times(0.01), correct=7), runs()).wins


@pytest.mark.parametrize(("factor", "wins"), [(0.5, True), (0.94, True), (0.96, False), (1.0, False), (2.0, False)])
def test_right_on_as_many_it_must_be_faster_by_a_twentieth(factor: float, wins: bool) -> None:
    comparison = compare(runs(times(factor)), runs())
    assert comparison.wins is wins
    assert comparison.time.median == pytest.approx(factor)


def lognormal(random: Random) -> float:
    return random.lognormvariate(0, 0.3)


def stalling(random: Random) -> float:
    """A machine that stalls now and then, for long."""
    return random.uniform(1, 1.05) * (50 if random.random() < 0.1 else 1)


def two_speeds(random: Random) -> float:
    """A processor that has two clocks."""
    return random.choice((1.0, 1.7)) + random.expovariate(100)


@pytest.mark.parametrize("noise", [lognormal, stalling, two_speeds])
@pytest.mark.parametrize("pairs", [3, 5, 7, 11, 12, 20])
def test_no_change_wins_in_less_than_one_comparison_of_twenty(noise: Callable[[Random], float], pairs: int) -> None:
    random = Random(7)
    sides = [tuple(tuple(noise(random) for _ in range(pairs)) for _ in range(2)) for _ in range(400)]
    assert sum(compare(runs(ours), runs(theirs)).wins for ours, theirs in sides) < 0.05 * 400


def test_a_real_gain_is_found_through_noise_and_a_stalled_run() -> None:
    random = Random(7)
    baseline = tuple(random.lognormvariate(0, 0.2) for _ in range(20))
    variant = tuple(0.5 * random.lognormvariate(0, 0.2) for _ in range(19))
    assert compare(runs((*variant, 2.0)), runs(baseline)).wins


def test_a_gain_on_small_inputs_does_not_hide_a_loss_on_a_large_one() -> None:
    baseline = (0.01,) * 19 + (1.0,)
    variant = (0.005,) * 19 + (3.0,)
    assert not compare(runs(variant), runs(baseline)).wins


TEN = (1.0,) * 10


@pytest.mark.parametrize(("last", "wins"), [(10.0, True), (10.5, False)])
def test_nine_gains_count_where_all_runs_together_took_no_longer(last: float, wins: bool) -> None:
    """Nine runs save a second each; the tenth takes nine seconds more, which is as long in all, or longer."""
    variant, baseline = (*TEN[1:], last), (*times(2, TEN[1:]), 1.0)
    assert compare(runs(variant), runs(baseline)).wins is wins


@pytest.mark.parametrize(("last", "wins"), [(11.0, True), (10.0, False)])
def test_nine_losses_count_where_all_runs_together_took_as_long(last: float, wins: bool) -> None:
    """A variant that costs fewer tokens loses by being slower: not if it saved more on one input than on nine lost."""
    variant, baseline = (*times(2, TEN[1:]), 1.0), (*TEN[1:], last)
    assert compare(runs(variant, tokens=500), runs(baseline, tokens=1000)).wins is wins


def test_a_gain_that_may_be_none_is_none() -> None:
    assert not compare(runs((0.5, 0.5, 0.5, 0.5, 1.0)), runs((1.0,) * 5)).wins


def test_the_least_gain_is_a_gain() -> None:
    assert compare(runs(times(0.75)), runs(), ComparisonRules(least_gain=0.25)).wins


@pytest.mark.parametrize(("pairs", "wins", "stated"), [(4, False, "all of"), (5, True, "98% sure of")])
def test_of_five_runs_a_small_gain_counts_and_of_four_nothing_is_sure(pairs: int, wins: bool, stated: str) -> None:
    comparison = compare(runs(times(0.8, SECONDS[:pairs])), runs(SECONDS[:pairs]))
    assert comparison.wins is wins
    assert f"{stated} 0.80 to 0.80 ({pairs} pairs)" in comparison.explanation


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


@pytest.mark.parametrize(("tokens", "wins"), [(1040, True), (1060, False)])
def test_a_faster_variant_may_be_dearer_by_less_than_a_twentieth(tokens: int, wins: bool) -> None:
    assert compare(runs(times(0.5), tokens=tokens), runs(tokens=1000)).wins is wins


@pytest.mark.parametrize(
    ("factor", "tokens", "stated"),
    [
        (0.5, 1000, "; faster, by"),
        (1.0, 500, "; cheaper, by"),
        (0.5, 500, "; faster and cheaper, by"),
        (1.0, 1000, "; neither faster nor cheaper, by"),
        (0.5, 2000, "; faster but dearer, by"),
        (2.0, 500, "; cheaper but slower, by"),
        (2.0, 2000, "; neither faster nor cheaper but slower and dearer, by"),
    ],
)
def test_the_explanation_names_what_is_won_and_what_is_lost(factor: float, tokens: int, stated: str) -> None:
    assert stated in compare(runs(times(factor), tokens=tokens), runs(tokens=1000)).explanation


def test_runs_too_short_for_a_clock_compare_as_equal() -> None:
    comparison = compare(runs((0.0,) * 8), runs((0.0,) * 8))
    assert (comparison.time.median, comparison.wins) == (1.0, False)


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


@given(PAIRS)
def test_a_win_is_where_the_interval_excludes_no_change(pairs: list[tuple[float, float]]) -> None:
    ours, theirs = (tuple(each) for each in zip(*pairs, strict=True))
    comparison = compare(runs(ours), runs(theirs))
    assert not comparison.wins or comparison.time.high < 1
    assert comparison.time.low <= comparison.time.median <= comparison.time.high


@given(PAIRS, st.sampled_from([2.0**-10, 0.5, 4.0, 2.0**12]))
def test_the_unit_of_time_means_nothing(pairs: list[tuple[float, float]], unit: float) -> None:
    # Not so small that the clock's resolution would count, and a power of two, which rounds nothing.
    seconds = [tuple(1e-3 + each for each in side) for side in zip(*pairs, strict=True)]
    scaled = [times(unit, side) for side in seconds]
    assert compare(runs(scaled[0]), runs(scaled[1])) == compare(runs(seconds[0]), runs(seconds[1]))
