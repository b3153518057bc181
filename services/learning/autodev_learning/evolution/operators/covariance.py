"""Numbers drawn all at once, as those that were worth most lie."""

import math

from autodev_learning.evolution.individuals import Offer
from autodev_learning.evolution.numbers_in import LARGEST, continuous, literals_of, with_numbers
from autodev_learning.evolution.operators import Aim, Brief, Local, Order
from autodev_learning.evolution.strategy import DRAWS


class Covariance(Local):
    """Draw all numbers that may be any from the distribution that the experiment has learnt (strategy.py: CMA-ES)."""

    NAME = DRAWS
    AIMS = frozenset({Aim.SCORE})

    def offer(self, order: Order, brief: Brief) -> Offer | None:
        if order.distribution is None:
            return None
        values = order.distribution.draw(order.chance)
        if not all(math.isfinite(each) and abs(each) <= LARGEST for each in values):
            return None
        note = f"drew {len(values)} numbers by what was learnt"
        return Offer(with_numbers(order.parent.code, continuous(literals_of(order.parent.code)), values), note)
