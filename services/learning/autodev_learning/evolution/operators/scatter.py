"""Numbers drawn anew."""

import random
from collections.abc import Sequence

from autodev_learning.evolution.individuals import Offer
from autodev_learning.evolution.numbers_in import Literal, Number, literals_of, with_numbers
from autodev_learning.evolution.operators import Aim, Brief, Local, Order

BESIDE = 0.25


class Scatter(Local):
    """Draw all numbers anew, from the range that they span: a beginning elsewhere, for what small steps never reach."""

    NAME = "scatter"
    AIMS = frozenset({Aim.SCORE})

    def offer(self, order: Order, brief: Brief) -> Offer | None:
        literals = literals_of(order.parent.code)
        if not literals:
            return None
        low, high = span(literals)
        values = [_drawn(literal.value, low, high, order.chance) for literal in literals]
        return Offer(with_numbers(order.parent.code, literals, values), f"drew {len(literals)} numbers anew")


def span(literals: Sequence[Literal]) -> tuple[float, float]:
    """A little more than the range of the numbers; of one number, what is around 0 as far as it is."""
    values = [float(literal.value) for literal in literals]
    low, high = min(values), max(values)
    if high - low < 1e-3 * max(abs(low), abs(high), 1e-9):
        far = max(abs(low), abs(high), 1.0)
        low, high = -far, far
    beside = BESIDE * (high - low)
    return low - beside, high + beside


def _drawn(value: Number, low: float, high: float, chance: random.Random) -> Number:
    return chance.randint(round(low), round(high)) if isinstance(value, int) else chance.uniform(low, high)
