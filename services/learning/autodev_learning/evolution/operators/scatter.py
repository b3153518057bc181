"""Numbers drawn anew."""

from autodev_learning.evolution.individuals import Offer
from autodev_learning.evolution.numbers_in import elsewhere, literals_of, with_numbers
from autodev_learning.evolution.operators import Aim, Brief, Local, Order


class Scatter(Local):
    """Draw all numbers anew: a beginning elsewhere, for what small steps never reach."""

    NAME = "scatter"
    AIMS = frozenset({Aim.SCORE})

    def offer(self, order: Order, brief: Brief) -> Offer | None:
        literals = literals_of(order.parent.code)
        if not literals:
            return None
        values = elsewhere(literals, order.chance)
        return Offer(with_numbers(order.parent.code, literals, values), f"drew {len(literals)} numbers anew")
