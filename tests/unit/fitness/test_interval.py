"""How sure a median is."""

import itertools
import math
from random import Random
from statistics import median_high, median_low

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autodev_fitness.comparison import ComparisonRules
from autodev_fitness.interval import median_interval

CONFIDENCE = ComparisonRules().confidence
RATIOS = st.lists(st.floats(0.01, 100), min_size=1, max_size=60)


@pytest.mark.parametrize("count", range(5, 400))
def test_an_equal_pair_of_programs_is_that_lucky_at_most_once_in_twenty(count: int) -> None:
    """Whatever the times' distribution: where neither is faster, each pair is won by the toss of a coin."""
    # The first `won` of the pairs are won: the interval is below 1 where so many wins suffice.
    won = next(
        won for won in range(count + 1) if median_interval([0.5] * won + [2.0] * (count - won), CONFIDENCE).high < 1
    )
    chance = sum(math.comb(count, wins) for wins in range(won, count + 1)) / 2**count
    assert chance <= 0.033


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_it_holds_what_every_drawn_sample_gives(count: int) -> None:
    values = [float(2**place) for place in range(count)]
    drawn = list(itertools.product(values, repeat=count))
    for confidence in (0.5, 0.8, 0.98):
        interval = median_interval(values, confidence)
        below = sum(median_low(sample) < interval.low for sample in drawn)
        above = sum(median_high(sample) > interval.high for sample in drawn)
        assert max(below, above) <= (1 - confidence) / 2 * len(drawn) + 1e-9
        # And it is no wider than it has to be.
        inner = [value for value in values if value < interval.high]
        if inner and interval.high > interval.median:
            assert sum(median_high(sample) > inner[-1] for sample in drawn) > (1 - confidence) / 2 * len(drawn)


def test_it_is_what_drawing_at_random_gives() -> None:
    random = Random(3)
    values = [random.lognormvariate(0, 0.4) for _ in range(15)]
    interval = median_interval(values, 0.9)
    medians = sorted(sorted(random.choices(values, k=15))[7] for _ in range(4000))
    inside = sum(interval.low <= each <= interval.high for each in medians)
    assert 0.9 <= inside / len(medians) <= 0.97


@given(RATIOS)
def test_what_is_turned_upside_down_has_the_interval_turned(ratios: list[float]) -> None:
    interval, turned = median_interval(ratios, 0.98), median_interval([1 / each for each in ratios], 0.98)
    assert (turned.low, turned.high) == (1 / interval.high, 1 / interval.low)


@given(RATIOS, st.randoms(use_true_random=False))
def test_the_order_means_nothing(ratios: list[float], random: Random) -> None:
    shuffled = list(ratios)
    random.shuffle(shuffled)
    assert median_interval(shuffled, 0.98) == median_interval(ratios, 0.98)


@given(RATIOS)
def test_more_confidence_is_a_wider_interval(ratios: list[float]) -> None:
    sure, surer = median_interval(ratios, 0.8), median_interval(ratios, 0.98)
    assert surer.low <= sure.low <= sure.median <= sure.high <= surer.high


@given(RATIOS, st.integers(0, 59), st.floats(0.01, 100))
def test_a_smaller_ratio_raises_neither_end(ratios: list[float], place: int, smaller: float) -> None:
    changed = list(ratios)
    changed[place % len(ratios)] = min(smaller, changed[place % len(ratios)])
    before, after = median_interval(ratios, 0.98), median_interval(changed, 0.98)
    assert (after.low <= before.low, after.high <= before.high) == (True, True)
