"""What each operator makes: another program that is Python, by the same lot the same."""

import ast
import math
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autodev_learning.evolution.asking import Asked
from autodev_learning.evolution.individuals import Offer
from autodev_learning.evolution.numbers_in import continuous, elsewhere, literals_of, scales_of, shape_of, with_numbers
from autodev_learning.evolution.operators import Aim, Brief, Local, Order, local_operators, operators_for
from autodev_learning.proposers import Aim as ProposersAim
from autodev_learning.proposers import NoProposal, Problem, Proposal
from autodev_learning.proposers.allowance import Allowance
from tests.unit.learning.evolving import SLOW, individual, order_for

NUMBERS = "def f():\n    return [1.5, -2.0, (3), 4e-3, 2 ** 2, 'é', 1]  # 7\n"
BRIEF = Brief(Aim.SCORE, "find f", ("f",))
TWO = "def f(x):\n    return x + {0}.0\n\ndef g(x):\n    return x * {0}\n"

finite = st.floats(-1e9, 1e9)


@given(st.lists(finite, min_size=8, max_size=8))
def test_numbers_are_found_and_replaced_in_their_places(values: list[float]) -> None:
    literals = literals_of(NUMBERS)
    assert [literal.value for literal in literals] == [1.5, -2.0, 3, 4e-3, 2, 2, 1]
    changed = with_numbers(NUMBERS, literals, values[:7])
    found = literals_of(changed)
    assert [literal.value for literal in found] == [0.0 if value == 0 else value for value in values[:7]]
    assert with_numbers(changed, found, [literal.value for literal in found]) == changed


@given(finite.filter(lambda value: value != 0))
def test_a_sign_does_not_change_what_binds_what(value: float) -> None:
    code = with_numbers("x = 2.0 ** 2", literals_of("x = 2.0 ** 2"), [value, 2])
    scope: dict[str, float] = {}
    exec(code, scope)
    assert scope["x"] == value**2 or math.isclose(scope["x"], value**2)


def test_numbers_that_have_no_place_of_their_own_are_left_alone() -> None:
    assert not literals_of("x = f'{1 + 1:.2f}'\ny = True\nz = 2j\nw = 1e999\n")


def test_a_number_larger_than_any_fraction_is_left_alone() -> None:
    assert [each.value for each in literals_of(f"x = [1.5, {400 * '9'}, -{400 * '9'}]\n")] == [1.5]


def test_numbers_belong_to_their_brackets() -> None:
    literals = literals_of("a = 7\nb = [(1.0, 2), (3.0, 4.0)]\nc = f(5.0)\n")
    points = [each.point for each in literals]
    families = [each.family for each in literals]
    assert points[0] == families[0] == points[5] == families[5] == -1
    assert points[1] == points[2] != points[3] == points[4]
    assert len(set(families[1:5])) == 1
    assert [each.value for each in continuous(literals)] == [1.0, 2, 3.0, 4.0, 5.0]


def test_a_number_is_as_far_as_it_or_its_family_is_large() -> None:
    literals = literals_of("a = 1e-9\nb = -300\nc = (3.0, 0.0, 4.0)")
    assert scales_of(literals) == [0.1, 300, 3.0, pytest.approx((25 / 3) ** 0.5), 4.0]


@given(st.lists(finite, min_size=4, max_size=4), st.integers(0, 99))
def test_programs_that_differ_in_continuous_numbers_have_one_shape(values: list[float], seed: int) -> None:
    code = "def f(x):\n    return [x ** 2, g(-1.5), (2, 0.5)] + x[3.0]\n"
    literals = continuous(literals_of(code))
    assert len(literals) == 5
    changed = with_numbers(code, literals, elsewhere(literals, random.Random(seed)))
    changed = with_numbers(changed, continuous(literals_of(changed))[:4], values)
    assert shape_of(changed) == shape_of(code) != shape_of(code.replace("g(", "h("))


@pytest.mark.parametrize("operator", local_operators(), ids=lambda operator: operator.NAME)
@pytest.mark.parametrize("code", [NUMBERS, TWO.format(1), SLOW, "x = 1\n"])
def test_an_operator_makes_python_and_by_the_same_lot_the_same(operator: Local, code: str) -> None:
    others = (TWO.format(2), TWO.format(3), NUMBERS.replace("1.5", "2.5"), NUMBERS.replace("1.5", "3.5"))
    for seed in range(5):
        made = operator.offer(order_for(code, others, seed), BRIEF)
        assert made == operator.offer(order_for(code, others, seed), BRIEF)
        if made is not None:
            assert made.note
            ast.parse(made.code)


def test_every_aim_has_operators() -> None:
    names = {aim: [operator.name for operator in operators_for(aim)] for aim in Aim}
    assert names[Aim.FASTER] == ["functions", "speedup"]
    assert names[Aim.MEND] == ["edit", "functions"]
    assert names[Aim.SCORE] == ["blend", "covariance", "difference", "edit", "functions", "gaussian", "scatter"]


async def test_a_speed_up_that_was_tried_is_not_offered_again() -> None:
    (speedup,) = [operator for operator in operators_for(Aim.FASTER) if operator.name == "speedup"]
    (first,) = await speedup.offers([order_for(SLOW)], BRIEF)
    assert first is not None
    (second,) = await speedup.offers([order_for(SLOW, known=[first.code])], BRIEF)
    assert second is None or second.code != first.code


async def test_an_operator_that_breaks_has_no_idea() -> None:
    class Broken(Local):
        NAME, AIMS = "broken", frozenset[Aim]()

        def offer(self, order: Order, brief: Brief) -> None:
            raise RuntimeError

    assert await Broken().offers([order_for(SLOW)], BRIEF) == [None]
    assert "broken" not in [operator.NAME for operator in local_operators()]


async def test_a_proposer_is_told_the_parent_what_went_wrong_and_the_aim() -> None:
    seen: list[Problem] = []
    some = Allowance(1, 1)

    async def propose(problem: Problem, allowance: Allowance | None) -> Proposal | NoProposal:
        assert allowance is some
        seen.append(problem)
        if len(seen) == 1:
            return Proposal("def f(): return 2", "model", ("thought",), 0, 1, 0.1, "hash", 30, 0.2)
        return NoProposal("model", "no idea", tokens=10, cost_usd=0.1)

    order = Order(order_for(SLOW).parent, (), ("f(1) gives 2",), random.Random(1), lambda code: False)
    asked = Asked("model", propose, most=2)
    offers = await asked.offers([order, order, order], replace(BRIEF, allowance=some))
    assert [(offer.code, offer.tokens, offer.cost_usd) if offer else None for offer in offers] == [
        ("def f(): return 2", 30, 0.2),
        ("", 10, 0.1),
        None,
    ]
    assert len(seen) == 2
    assert seen[0].failures[0].code == SLOW
    assert "f(1) gives 2" in seen[0].failures[0].error_trace
    assert "scores higher" in seen[0].task_description
    assert seen[0].aim is ProposersAim.IMPROVE
    assert seen[0].seed != seen[1].seed


class Names(Local):
    """Gives its parent's number, and knows whom it was asked about in turn."""

    NAME = "names"
    AIMS = frozenset({Aim.SCORE})

    def __init__(self) -> None:
        self.asked: list[int] = []

    def offer(self, order: Order, brief: Brief) -> Offer | None:
        self.asked.append(order.parent.number)
        return Offer(str(order.parent.number))


async def test_a_parents_orders_are_served_together_and_answered_in_their_places() -> None:
    """What is worked out of a long program is soon forgotten: in turns, it would be worked out for each order."""
    order = order_for(SLOW)
    parents = [3, 1, 3, 2, 1, 3]
    operator = Names()
    offers = await operator.offers([replace(order, parent=individual(number)) for number in parents], BRIEF)
    assert [offer.code for offer in offers if offer] == [str(number) for number in parents]
    assert operator.asked == [1, 1, 2, 3, 3, 3]
