"""How fast a source may send: a bucket of tokens each, which fills steadily up to a burst."""

from dataclasses import dataclass


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_s: float


class RateLimit:
    """The buckets of all sources. They are in this process alone: each gateway allows the rate."""

    def __init__(self, per_second: float, burst: int) -> None:
        self._per_second = per_second
        self._burst = burst
        self._buckets: dict[str, _Bucket] = {}

    def wait_s(self, source: str, now_s: float) -> float:
        """Take a token: 0; where there is none: how long until there is one. `now_s` is of a monotonic clock.

        Called only for sources that have proved who they are: nobody else can use up their tokens, or make buckets.
        """
        bucket = self._buckets.setdefault(source, _Bucket(self._burst, now_s))
        bucket.tokens = min(self._burst, bucket.tokens + (now_s - bucket.filled_s) * self._per_second)
        bucket.filled_s = now_s
        if bucket.tokens >= 1:
            bucket.tokens -= 1
            return 0.0
        return (1 - bucket.tokens) / self._per_second
