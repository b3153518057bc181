"""The bandit finds what pays, notices when that changes, and is the same by seed."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autodev_learning.evolution.bandit import Bandit

ARMS = ("poor", "middling", "good")
PAYS = {"poor": 0.1, "middling": 0.4, "good": 0.7}


def played(bandit: Bandit, rounds: int, seed: int, pays: dict[str, float]) -> list[str]:
    chance = random.Random(seed)
    chosen = []
    for _ in range(rounds):
        for arm in bandit.plan(4, chance):
            bandit.learn(arm, float(chance.random() < pays[arm]))
            chosen.append(arm)
    return chosen


@pytest.mark.parametrize("seed", range(5))
def test_it_comes_to_choose_what_pays_most(seed: int) -> None:
    counts = Counter(played(Bandit(ARMS), 100, seed, PAYS)[-200:])
    assert counts["good"] > 100
    assert counts["good"] > counts["middling"] > 0


@pytest.mark.parametrize("seed", range(5))
def test_it_follows_when_what_pays_changes(seed: int) -> None:
    bandit = Bandit(ARMS)
    played(bandit, 100, seed, PAYS)
    counts = Counter(played(bandit, 150, seed, {"poor": 0.9, "middling": 0.1, "good": 0.0})[-200:])
    assert counts["poor"] > 100


@given(st.integers(0, 1000))
def test_the_same_seed_chooses_the_same(seed: int) -> None:
    assert played(Bandit(ARMS), 10, seed, PAYS) == played(Bandit(ARMS), 10, seed, PAYS)


@given(st.integers(0, 1000), st.floats(1e-6, 1))
def test_how_much_pays_off_in_all_makes_no_difference(seed: int, part: float) -> None:
    pays = {arm: pay * part for arm, pay in PAYS.items()}
    counts = []
    for each in (PAYS, pays):
        bandit, chance, chosen = Bandit(ARMS), random.Random(seed), Counter[str]()
        for _ in range(50):
            for arm in bandit.plan(4, chance):
                bandit.learn(arm, each[arm])
                chosen[arm] += 1
        counts.append(chosen)
    for arm in ARMS:
        assert abs(counts[0][arm] - counts[1][arm]) <= 20
    assert counts[1]["good"] > counts[1]["poor"]


def test_every_arm_is_tried_and_a_batch_is_spread() -> None:
    assert set(Bandit(ARMS).plan(3, random.Random(1))) == set(ARMS)


def test_what_was_before_fades() -> None:
    bandit = Bandit(ARMS, discount=0.5)
    for arm, payoff in [("poor", 1.0), ("good", 0.25), ("good", 1.0)]:
        bandit.learn(arm, payoff)
    assert bandit.tries == {"poor": 0.25, "good": 1.5}
    assert bandit.paid == {"poor": 0.25, "good": 1.125}


@given(st.lists(st.tuples(st.sampled_from((*ARMS, "gone")), st.floats(-2, 2)), max_size=50))
def test_any_payoffs_keep_the_means_in_range(payoffs: list[tuple[str, float]]) -> None:
    bandit = Bandit(ARMS)
    for arm, payoff in payoffs:
        bandit.learn(arm, payoff)
    assert all(0 <= bandit.paid[arm] <= bandit.tries[arm] for arm in bandit.tries)
    assert "gone" not in bandit.tries
    assert set(bandit.plan(5, random.Random(0))) <= set(ARMS)
