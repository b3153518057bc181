"""What calls in flight may use, and one tenant of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autodev_runtime.errors import ResourceExhausted
from autodev_runtime.identity import ALL_TENANTS
from autodev_runtime.in_flight import Bound, Use

TENANTS = ["acme", "umbrella", "initech"]


def used(bound: Bound, tenant: str, amount: int) -> Use | None:
    """A call's use; None where it was refused."""
    use = Use(bound)
    try:
        use.take(amount)
        use.assign(tenant)
    except ResourceExhausted:
        use.end()
        return None
    return use


@pytest.mark.parametrize(
    ("most", "share", "of_one"), [(10, 0.5, 5), (10, 1, 10), (10, 0.01, 1), (1, 0.5, 1), (3, 0.5, 1)]
)
def test_one_tenant_may_use_its_share_and_something_always(most: int, share: float, of_one: int) -> None:
    bound = Bound("calls", most, share)
    assert [used(bound, "acme", 1) is not None for _ in range(most + 1)] == [True] * of_one + [False] * (
        most + 1 - of_one
    )


def test_a_use_is_over_once() -> None:
    bound = Bound("calls", 1)
    first = used(bound, "acme", 1)
    assert first is not None
    first.end()
    first.end()
    assert used(bound, "acme", 1) is not None
    assert used(bound, "acme", 1) is None


@given(
    st.lists(st.tuples(st.sampled_from([*TENANTS, ALL_TENANTS]), st.integers(0, 7), st.booleans()), max_size=60),
    st.integers(1, 20),
    st.sampled_from([0.1, 0.5, 1.0]),
)
def test_uses_stay_within_the_bound_and_leave_nothing_behind(
    calls: list[tuple[str, int, bool]], most: int, share: float
) -> None:
    bound = Bound("bytes", most, share)
    of_one = max(1, int(most * share))
    going: list[tuple[str, int, Use]] = []
    for tenant, amount, one_ends in calls:
        mine = sum(size for whose, size, _ in going if whose == tenant)
        room = sum(size for _, size, _ in going) < most and (tenant == ALL_TENANTS or mine < of_one)
        use = used(bound, tenant, amount)
        assert (use is not None) is room
        if use is not None:
            going.append((tenant, amount, use))
        if one_ends and going:
            going.pop(0)[2].end()
    for _, _, use in going:
        use.end()
    for tenant in TENANTS:
        whole = used(bound, tenant, most)
        assert whole is not None
        whole.end()
