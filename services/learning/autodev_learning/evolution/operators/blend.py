"""Numbers of two programs."""

from autodev_learning.evolution.individuals import Offer
from autodev_learning.evolution.numbers_in import literals_of, with_numbers
from autodev_learning.evolution.operators import Aim, Brief, Local, Order
from autodev_learning.evolution.operators.difference import values_like

BESIDE = 0.3
"""How far past either parent's number a child's may lie, in parts of their difference."""


class Blend(Local):
    """Cross the numbers of two programs (BLX, Eshelman and Schaffer, 1993): between the two, or a little beside."""

    NAME = "blend"
    AIMS = frozenset({Aim.SCORE})

    def offer(self, order: Order, brief: Brief) -> Offer | None:
        own = literals_of(order.parent.code)
        alike = [numbers for each in order.others if (numbers := values_like(own, literals_of(each.code)))]
        if not own or not alike:
            return None
        chance = order.chance
        mate = chance.choice(alike)
        values = []
        for literal, theirs in zip(own, mate, strict=True):
            mixed = literal.value + chance.uniform(-BESIDE, 1 + BESIDE) * (theirs - literal.value)
            values.append(round(mixed) if isinstance(literal.value, int) else mixed)
        return Offer(with_numbers(order.parent.code, own, values), "numbers between two programs'")
