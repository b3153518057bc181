"""Numbers moved a little."""

import random

from autodev_learning.evolution.individuals import Offer
from autodev_learning.evolution.numbers_in import Number, literals_of, with_numbers
from autodev_learning.evolution.operators import Aim, Brief, Local, Order

COARSEST, FINEST = 0.0, -6.0
"""Powers of ten that a step is of, times the number: none is right all along, so each is drawn anew."""
ALL_SHARE = 0.3


class Gaussian(Local):
    """Move one number, two or all of them by normally distributed steps: `x = 1.0` becomes `x = 1.0371`."""

    NAME = "gaussian"
    AIMS = frozenset({Aim.SCORE})

    def offer(self, order: Order, brief: Brief) -> Offer | None:
        literals = literals_of(order.parent.code)
        if not literals:
            return None
        chance, count = order.chance, len(literals)
        moved = set(range(count)) if chance.random() < ALL_SHARE else {chance.randrange(count), chance.randrange(count)}
        scale = 10 ** chance.uniform(FINEST, COARSEST)
        values = [
            _moved(each.value, scale, chance) if index in moved else each.value for index, each in enumerate(literals)
        ]
        return Offer(with_numbers(order.parent.code, literals, values), f"moved {len(moved)} of {count} numbers")


def _moved(value: Number, scale: float, chance: random.Random) -> Number:
    if isinstance(value, int):
        step = max(1, round(abs(value) * scale))
        return value + chance.choice((-step, step))
    return value + chance.gauss(0, scale) * max(abs(value), 0.1)
