"""How long a client waits before it tries again."""

import random
from collections.abc import Iterator

SHORTEST_S, LONGEST_S = 0.1, 2.0


def pauses_s() -> Iterator[float]:
    """Seconds to wait before each next try, for ever: twice as long each time, up to 2 s.

    Each is shortened by up to a half, drawn anew: clients that lost the same gateway do not all come back at once.
    """
    longest_s = SHORTEST_S
    while True:
        yield random.uniform(longest_s / 2, longest_s)
        longest_s = min(2 * longest_s, LONGEST_S)
