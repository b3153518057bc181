"""Numbers moved a little."""

import random
from collections.abc import Sequence

from autodev_learning.evolution.individuals import Offer
from autodev_learning.evolution.numbers_in import Literal, Number, literals_of, scales_of, with_numbers
from autodev_learning.evolution.operators import Aim, Brief, Local, Order

COARSEST, FINEST = -0.3, -4.0
"""Powers of ten that a step is of, times the number's scale."""
ALL_SHARE, POINT_SHARE = 0.2, 0.4


class Gaussian(Local):
    """Move one number or two, those of a point, or all, by normally distributed steps: `x = 1.0` becomes `x = 1.0371`.

    No step size is right all along, so each is drawn anew, evenly by its power of ten: a mixture whose long tail finds
    what small steps never reach, and whose small steps end near it (Rowe and Hidovic, 2004, "An evolution strategy
    using a continuous version of the Gray-code neighbourhood distribution").
    """

    NAME = "gaussian"
    AIMS = frozenset({Aim.SCORE})

    def offer(self, order: Order, brief: Brief) -> Offer | None:
        literals = literals_of(order.parent.code)
        if not literals:
            return None
        chance = order.chance
        moved = _chosen(literals, chance)
        size = 10 ** chance.uniform(FINEST, COARSEST)
        values = [
            _moved(each.value, size * scale, chance) if index in moved else each.value
            for index, (each, scale) in enumerate(zip(literals, scales_of(literals), strict=True))
        ]
        return Offer(
            with_numbers(order.parent.code, literals, values), f"moved {len(moved)} of {len(literals)} numbers"
        )


def _chosen(literals: Sequence[Literal], chance: random.Random) -> set[int]:
    """Which numbers to move."""
    kind, one = chance.random(), chance.randrange(len(literals))
    if kind < ALL_SHARE:
        return set(range(len(literals)))
    point = literals[one].point
    if kind < ALL_SHARE + POINT_SHARE and point >= 0:
        return {index for index, each in enumerate(literals) if each.point == point}
    return {one, chance.randrange(len(literals))}


def _moved(value: Number, size: float, chance: random.Random) -> Number:
    step = chance.gauss(0, size)
    if isinstance(value, int):
        return value + (round(step) or chance.choice((-1, 1)))
    return value + step
