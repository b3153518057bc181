"""Numbers moved as others differ."""

from autodev_learning.evolution.individuals import Offer
from autodev_learning.evolution.numbers_in import Literal, Number, literals_of, with_numbers
from autodev_learning.evolution.operators import Aim, Brief, Local, Order

CROSSED = 0.7


class Difference(Local):
    """Differential evolution (Storn and Price, 1997): from a program's numbers, a part of the way to the best's, and a
    part of the difference of two others'. The steps shrink by themselves as the programs come together.
    """

    NAME = "difference"
    AIMS = frozenset({Aim.SCORE})

    def offer(self, order: Order, brief: Brief) -> Offer | None:
        own = literals_of(order.parent.code)
        alike = [numbers for each in order.others if (numbers := values_like(own, literals_of(each.code)))]
        if not own or len(alike) < 2:
            return None
        chance = order.chance
        best = alike[0]
        one, other = chance.sample(alike, 2)
        part = chance.uniform(0.2, 0.9)
        values = [
            _stepped(literal.value, part, best[index] - literal.value + one[index] - other[index])
            if chance.random() < CROSSED
            else literal.value
            for index, literal in enumerate(own)
        ]
        return Offer(with_numbers(order.parent.code, own, values), "moved numbers as others differ")


def values_like(own: tuple[Literal, ...], theirs: tuple[Literal, ...]) -> list[Number]:
    """The numbers of a program that has as many, in the same places by kind; else none."""
    if len(own) != len(theirs) or any(type(a.value) is not type(b.value) for a, b in zip(own, theirs, strict=True)):
        return []
    return [literal.value for literal in theirs]


def _stepped(value: Number, part: float, difference: Number) -> Number:
    moved = value + part * difference
    return round(moved) if isinstance(value, int) else moved
