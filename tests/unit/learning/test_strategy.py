"""The evolution strategy: it finds what it should, is the same by what it is told, and knows when it is over."""

import math
import random
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autodev_learning.evolution.individuals import Evaluation, Individual, Offer, Stage
from autodev_learning.evolution.learnt import Learnt
from autodev_learning.evolution.numbers_in import continuous, literals_of, with_numbers
from autodev_learning.evolution.strategy import (
    DRAWS,
    MOST_CORRELATED,
    Strategy,
    _factored,
    _solved,
    _times,
    rates_for,
)

POINT = "def point():\n    return (4.0, -3.0)\n"


def ellipsoid(values: Sequence[float]) -> float:
    """Ten thousand times steeper one way than another, and turned: each number matters with the next."""
    turned = [(one + 0.5 * other - 1) for one, other in zip(values, [*values[1:], values[0]], strict=True)]
    return -sum(math.pow(1e4, index / len(turned)) * each * each for index, each in enumerate(turned))


def found(score: Callable[[Sequence[float]], float], strategy: Strategy, draws: int, seed: int) -> float:
    chance, best = random.Random(seed), -math.inf
    for _ in range(draws // 10):
        for _ in range(10):
            values = strategy.distribution.draw(chance)
            fitness = score(values)
            best = max(best, fitness)
            strategy.tell(values, fitness)
        strategy.learn()
    return best


@pytest.mark.parametrize("seed", range(3))
def test_it_learns_how_numbers_hang_together(seed: int) -> None:
    assert found(ellipsoid, Strategy([3.0] * 6, [3.0] * 6), 3000, seed) > -1e-6


def test_of_many_numbers_it_learns_each_ones_scale() -> None:
    n = MOST_CORRELATED + 5

    def steep(values: Sequence[float]) -> float:
        return -sum(math.pow(100, index / n) * each * each for index, each in enumerate(values))

    start = [1.0] * n
    assert found(steep, Strategy(start, start), 6000, 0) > steep(start) * 1e-3


@settings(max_examples=20)
@given(st.lists(st.floats(-1e6, 1e6), min_size=40, max_size=40), st.integers(1, 60), st.integers(0, 9))
def test_whatever_it_is_told_it_draws_numbers_and_the_same_told_is_the_same(
    worth: list[float], numbers: int, seed: int
) -> None:
    states = []
    for _ in range(2):
        strategy, chance = Strategy([0.5] * numbers, [1.0] * numbers), random.Random(seed)
        for each in worth:
            strategy.tell(strategy.distribution.draw(chance), each if each > -5e5 else -math.inf)
            strategy.learn()
        assert all(map(math.isfinite, strategy.distribution.draw(chance)))
        states.append(strategy.distribution)
    assert states[0] == states[1]


def test_where_nothing_gets_better_it_is_over_and_where_much_does_it_is_not() -> None:
    flat, rising = Strategy([1.0, 1.0], [1.0, 1.0]), Strategy([1.0, 1.0], [1.0, 1.0])
    found(lambda values: 0.0, flat, 400, 1)
    found(lambda values: values[0], rising, 100, 1)
    assert flat.is_over
    assert not rising.is_over


@given(st.integers(1, 200), st.integers(4, 300))
def test_the_rates_are_shares(numbers: int, draws: int) -> None:
    rates = rates_for(numbers, draws)
    assert sum(rates.weights) == pytest.approx(1)
    assert list(rates.weights) == sorted(rates.weights, reverse=True)
    assert 0 < rates.c_one + rates.c_mu <= 1
    assert 0 < rates.c_sigma < 1
    assert 0 < rates.c_path <= 1


@given(st.lists(st.lists(st.floats(-3, 3), min_size=4, max_size=4), min_size=4, max_size=4))
def test_the_factor_is_one_and_solving_undoes_it(rows: list[list[float]]) -> None:
    matrix = [
        [sum(a * b for a, b in zip(rows[i], rows[j], strict=True)) + (i == j) for j in range(4)] for i in range(4)
    ]
    factor = _factored([row[: index + 1] for index, row in enumerate(matrix)])
    assert factor is not None
    for i in range(4):
        for j in range(i + 1):
            product = sum(a * b for a, b in zip(factor[i], factor[j], strict=False))
            assert product == pytest.approx(matrix[i][j], abs=1e-9)
    vector = [1.0, -2.0, 3.0, 0.5]
    assert _solved(factor, _times(factor, vector)) == pytest.approx(vector)
    assert _factored([[1.0], [2.0, 1.0]]) is None


def program(number: int, code: str, fitness: float, operator: str = "gaussian") -> Individual:
    return Individual(number, 1, 0, 0, operator, Offer(code), Evaluation(Stage.DONE, fitness, fitness), f"d{number}", 9)


def drawn_by(learnt: Learnt, chance: random.Random) -> str:
    assert learnt.around is not None
    assert learnt.distribution is not None
    code = learnt.around.code
    return with_numbers(code, continuous(literals_of(code)), learnt.distribution.draw(chance))


def test_what_is_learnt_is_of_the_original_until_a_best_program_has_more_numbers() -> None:
    learnt = Learnt(0)
    assert learnt.distribution is None
    original = program(0, POINT, 0.0)
    learnt.show(original, is_best=True)
    assert learnt.around is original
    fewer = program(1, "def point():\n    return 4.0, -3\n".replace("4.0, -3", "abs(4.0)"), 1.0)
    learnt.show(fewer, is_best=True)
    assert learnt.around is original
    better = program(2, POINT.replace("4.0", "(-1.5)"), 2.0)
    learnt.show(better, is_best=True)
    assert learnt.around is better
    more = program(3, POINT.replace("4.0", "4.0 + 0.5"), 3.0)
    learnt.show(more, is_best=True)
    assert learnt.around is more
    assert learnt.distribution is not None
    assert learnt.distribution.mean == (4.0, 0.5, -3.0)


def test_a_program_without_numbers_has_nothing_to_draw() -> None:
    learnt = Learnt(0)
    learnt.show(program(0, "def f(items):\n    return items[2]\n", 0.0), is_best=True)
    learnt.end_step()
    assert learnt.distribution is None


def test_it_learns_from_its_own_draws_alone_and_begins_anew_when_it_is_over() -> None:
    learnt, chance = Learnt(5), random.Random(1)
    learnt.show(program(0, POINT, 0.0), is_best=True)
    first = learnt.distribution
    for number in range(1, 30):
        learnt.show(program(number, drawn_by(learnt, chance), 1.0, "blend"), is_best=False)
    learnt.end_step()
    assert learnt.distribution == first
    means = []
    for step in range(400):
        for number in range(8):
            learnt.show(program(100 + 8 * step + number, drawn_by(learnt, chance), 1.0, DRAWS), is_best=False)
        learnt.end_step()
        assert learnt.distribution is not None
        means.append(learnt.distribution.mean)
    # Around the best again, and elsewhere.
    assert (4.0, -3.0) in means
    assert max(math.dist(one, other) for one, other in pairwise(means)) > 1
