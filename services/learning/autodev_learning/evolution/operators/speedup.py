"""Speed-ups."""

from autodev_learning.evolution.individuals import Offer
from autodev_learning.evolution.operators import Aim, Brief, Local, Order

MOST_LOOKED_AT = 64


class Speedup(Local):
    """Make the first speed-up that was not tried yet, in the order of what they gain."""

    NAME = "speedup"
    AIMS = frozenset({Aim.FASTER})

    def offer(self, order: Order, brief: Brief) -> Offer | None:
        # The analyses take a while to import: only who edits pays for it.
        from itertools import islice

        from autodev_learning.proposers.performance import performance_mutations

        for mutation in islice(performance_mutations(order.parent.code), MOST_LOOKED_AT):
            if not order.is_known(mutation.code):
                return Offer(mutation.code, mutation.description)
        return None
