"""What several questions together may still use, in tokens and in money: what is left of an experiment's budget.

As with a day's budget (llm/spending.py), the most that a call can cost is held before it is made and settled after it,
so that calls made at once pass the bound in no case. It may be used from several threads.
"""

import threading
from enum import Enum

NANO = 1_000_000_000


class Held(Enum):
    """Whether the most that a call can cost is held for it."""

    YES = "it is"
    LATER = "it may be once calls in flight are settled"
    NO = "it never can be"


class Allowance:
    """So many tokens and US dollars. Who can only say afterwards what it used, is not asked once nothing is left."""

    def __init__(self, tokens: int, usd: float) -> None:
        self._all = self._left = (tokens, round(usd * NANO))
        self._in_flight = (0, 0)
        self._lock = threading.Lock()

    def hold(self, tokens: int, nanousd: int) -> Held:
        """Hold this much, if there is as much left of both."""
        with self._lock:
            wanted = (tokens, nanousd)
            if _fits(wanted, self._left):
                self._left = _sum(self._left, wanted, -1)
                self._in_flight = _sum(self._in_flight, wanted)
                return Held.YES
            return Held.LATER if _fits(wanted, _sum(self._left, self._in_flight)) else Held.NO

    def settle(self, held: tuple[int, int], used: tuple[int, int]) -> None:
        """Count what a call did use instead of what was held for it; tokens, then billionths of a dollar."""
        with self._lock:
            self._in_flight = _sum(self._in_flight, held, -1)
            self._left = _sum(_sum(self._left, held), used, -1)

    def use(self, tokens: int, usd: float) -> None:
        """Count what was used, even where it is more than was left."""
        self.settle((0, 0), (tokens, round(usd * NANO)))

    @property
    def used(self) -> tuple[int, float]:
        """Tokens and dollars that were used, calls in flight at their most."""
        with self._lock:
            tokens, nanousd = _sum(self._all, self._left, -1)
            return tokens, nanousd / NANO

    @property
    def is_spent(self) -> bool:
        """Whether nothing is left of one of them."""
        with self._lock:
            return min(self._left) <= 0


def _fits(wanted: tuple[int, int], left: tuple[int, int]) -> bool:
    return wanted[0] <= left[0] and wanted[1] <= left[1]


def _sum(one: tuple[int, int], other: tuple[int, int], sign: int = 1) -> tuple[int, int]:
    return one[0] + sign * other[0], one[1] + sign * other[1]
