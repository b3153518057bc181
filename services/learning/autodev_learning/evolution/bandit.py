"""Which operator to try next: discounted UCB (Garivier and Moulines, 2011), by what has paid off lately.

What pays off changes while a search goes on: coarse steps at first, fine ones near the optimum. So old payoffs fade.
How much pays off changes too, by orders of magnitude, while a bound's width does not: without a common scale all arms
are tried alike once little pays (Fialho, Da Costa, Schoenauer and Sebag, 2010, "Analyzing bandit-based adaptive
operator selection mechanisms"). So an arm is valued in parts of what the best arm pays. It draws nothing by lot but
ties, hence the same payoffs give the same choices.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class Bandit:
    """One of several arms at a time. Payoffs are in [0, 1]."""

    arms: Sequence[str]
    discount: float = 0.99
    exploration: float = 0.6
    tries: dict[str, float] = field(default_factory=dict)
    paid: dict[str, float] = field(default_factory=dict)

    def plan(self, count: int, chance: random.Random) -> list[str]:
        """Choose an arm for each of `count` tries that are made at once: each is expected to pay what its arm does."""
        most = max((self.paid[arm] / tries for arm, tries in self.tries.items()), default=0.0) or 1.0
        planned: dict[str, int] = {}
        chosen = []
        for _ in range(count):
            values = {arm: self._bound(arm, planned.get(arm, 0), most) for arm in self.arms}
            highest = max(values.values())
            arm = chance.choice([each for each, value in values.items() if value == highest])
            planned[arm] = planned.get(arm, 0) + 1
            chosen.append(arm)
        return chosen

    def learn(self, arm: str, payoff: float) -> None:
        """Take in what a try paid, and let what was before fade. An arm that is none is ignored."""
        if arm not in self.arms:
            return
        for each in self.tries:
            self.tries[each] *= self.discount
            self.paid[each] *= self.discount
        self.tries[arm] = self.tries.get(arm, 0.0) + 1
        self.paid[arm] = self.paid.get(arm, 0.0) + min(1.0, max(0.0, payoff))

    def _bound(self, arm: str, planned: int, most: float) -> float:
        tries = self.tries.get(arm, 0.0)
        if tries + planned == 0:
            return math.inf
        mean = self.paid.get(arm, 0.0) / tries / most if tries else 0.5
        total = max(math.e, sum(self.tries.values()) + planned)
        return mean + self.exploration * math.sqrt(math.log(total) / (tries + planned))
