"""How fast a source may send, and when a webhook that could not be passed on is tried again."""

from hypothesis import given
from hypothesis import strategies as st

from autodev_gateway.webhooks.delivery import WAIT_S, wait_before
from autodev_gateway.webhooks.limits import RateLimit


def test_a_burst_then_the_rate() -> None:
    rate = RateLimit(per_second=2.0, burst=3)
    assert [rate.wait_s("crm", 0.0) for _ in range(5)] == [0, 0, 0, 0.5, 0.5]
    assert rate.wait_s("shop", 0.0) == 0
    assert rate.wait_s("crm", 0.125) == 0.375
    assert [rate.wait_s("crm", 0.5) for _ in range(2)] == [0, 0.5]


@given(
    st.floats(0.1, 100), st.integers(1, 50), st.lists(st.floats(0, 10, allow_subnormal=False), min_size=1, max_size=200)
)
def test_no_time_sees_more_than_the_burst_and_the_rate(per_second: float, burst: int, gaps: list[float]) -> None:
    rate = RateLimit(per_second, burst)
    now_s, taken = 0.0, 0
    for gap in gaps:
        now_s += gap
        taken += rate.wait_s("crm", now_s) == 0
    assert taken <= burst + per_second * (now_s - gaps[0]) + 1e-6


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_waits_grow_and_are_bounded(attempt: int, luck: float) -> None:
    first, longest = WAIT_S
    assert first * 0.75 <= wait_before(attempt, luck) <= longest * 1.25
    assert wait_before(attempt, 0.5) <= wait_before(attempt + 1, 0.5)
