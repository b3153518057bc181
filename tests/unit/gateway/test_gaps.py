"""What a reader is told of retention: every gap before it, each once, and none that is not."""

from hypothesis import given
from hypothesis import strategies as st

from autodev_gateway.event_log.gaps import Gaps
from autodev_gateway.event_log.model import Trims
from autodev_runtime.identity import ALL_TENANTS

TENANTS = ("acme", "globex", "initech")
DELETED = st.dictionaries(st.sampled_from(TENANTS), st.integers(1, 50), max_size=3)
STEPS = st.lists(st.tuples(DELETED, st.integers(0, 10)), max_size=12)


@given(DELETED, STEPS, st.sampled_from([*TENANTS, ALL_TENANTS]))
def test_every_gap_is_told_once(at_first: dict[str, int], steps: list[tuple[dict[str, int], int]], reader: str) -> None:
    trims = Trims(at_first)
    gaps = Gaps(trims, reader)
    gone = dict(at_first)
    told: dict[str, int] = {}
    position = 0
    for deleted, read_on in steps:
        trims.advance(deleted)
        gone |= {tenant: max(seq, gone.get(tenant, 0)) for tenant, seq in deleted.items()}
        fresh = gaps.after(position)
        missed = {tenant: seq for tenant, seq in gone.items() if seq > position and reader in (tenant, ALL_TENANTS)}
        # Nothing that is not, nothing twice, and nothing is left out.
        assert all(missed[tenant] == seq > told.get(tenant, 0) for tenant, seq in fresh.items())
        told |= fresh
        assert all(told[tenant] == seq for tenant, seq in missed.items())
        position += read_on


def test_who_starts_with_what_is_kept_misses_nothing_of_what_is_not() -> None:
    trims = Trims({"acme": 5, "globex": 7})
    gaps = Gaps(trims, ALL_TENANTS, from_start=0)
    assert gaps.after(0) == {}
    trims.advance({"acme": 9})
    assert gaps.after(0) == {"acme": 9}
    assert gaps.after(0) == {}
