"""The tail in memory answers what the whole log would."""

from hypothesis import given
from hypothesis import strategies as st

from autodev_gateway.event_log import ALL_EVENTS, Filter, PageBounds, Record
from autodev_gateway.event_log.model import Appended
from autodev_gateway.event_log.tail import Tail
from autodev_runtime.identity import ALL_TENANTS

TENANTS = st.sampled_from(["acme", "globex"])
EVENTS = st.lists(
    st.lists(st.tuples(TENANTS, st.integers(20, 22), st.sampled_from(["a", "b"]), st.integers(1, 40)), min_size=1),
    max_size=12,
)
FILTERS = st.builds(Filter, st.frozensets(st.integers(20, 22), max_size=2), st.frozensets(st.sampled_from("ab")))


def appended(batches: list[list[tuple[str, int, str, int]]]) -> list[list[Appended]]:
    place = 0
    made: list[list[Appended]] = []
    for batch in batches:
        made.append([])
        for tenant, kind, agent, size_bytes in batch:
            place += 3
            made[-1].append(Appended(Record(place, bytes(size_bytes)), tenant, kind, agent, ""))
    return made


@given(EVENTS, st.integers(0, 300), TENANTS | st.just(ALL_TENANTS), FILTERS, st.integers(1, 9), st.integers(1, 100))
def test_reading_on_gives_every_wanted_event_once_in_order(
    batches: list[list[tuple[str, int, str, int]]],
    max_bytes: int,
    tenant: str,
    wanted: Filter,
    page_events: int,
    page_bytes: int,
) -> None:
    tail = Tail(0, max_bytes)
    made = appended(batches)
    for batch in made:
        tail.extend(batch)
    everything = [each for batch in made for each in batch]
    own = [0, *(each.record.seq for each in everything if tenant in (ALL_TENANTS, each.tenant))]
    tail.begin(tenant, 0)
    floor = tail.floor(tenant)
    assert floor is not None
    assert floor in own
    assert tail.last(tenant) == own[-1]
    expected = [
        each.record
        for each in everything
        if each.record.seq > floor and tenant in (ALL_TENANTS, each.tenant) and wanted.passes(each)
    ]

    read: list[Record] = []
    position = floor
    while position < tail.last(tenant):
        page = tail.read(tenant, position, wanted, PageBounds(page_events, page_bytes))
        assert len(page.records) <= page_events
        assert len(page.records) <= 1 or sum(len(each.sized) for each in page.records) <= page_bytes
        assert page.through > position
        assert page.through in own
        read += page.records
        position = page.through
    assert read == expected


@given(EVENTS, st.integers(0, 300))
def test_what_is_kept_fits_the_bound_and_is_the_end_of_the_log(
    batches: list[list[tuple[str, int, str, int]]], max_bytes: int
) -> None:
    tail = Tail(0, max_bytes)
    made = appended(batches)
    for batch in made:
        tail.extend(batch)
    floor = tail.floor(ALL_TENANTS)
    assert floor is not None
    kept = tail.read(ALL_TENANTS, floor, ALL_EVENTS, PageBounds(10**6, 10**9)).records
    assert sum(len(each.sized) for each in kept) <= max_bytes
    everything = [each.record for batch in made for each in batch]
    assert list(kept) == everything[len(everything) - len(kept) :]


def test_what_is_there_already_is_left_out() -> None:
    tail = Tail(0, 1000)
    heard: list[int] = []
    events = [Appended(Record(seq, b"x"), "acme", 20, "", "") for seq in (1, 2, 3)]
    with tail.listening("acme", lambda: heard.append(tail.head)):
        tail.extend(events[:2])
        tail.extend(events[1:])
        tail.extend(events[2:])
    assert tail.read("acme", 0, ALL_EVENTS, PageBounds(10, 1000)).records == [each.record for each in events]
    assert heard == [2, 3]


def test_only_listeners_of_a_tenant_hear_of_it() -> None:
    tail = Tail(0, 1000)
    heard: list[str] = []
    with (
        tail.listening("acme", lambda: heard.append("acme")),
        tail.listening("globex", lambda: heard.append("globex")),
        tail.listening(ALL_TENANTS, lambda: heard.append("all")),
    ):
        tail.extend([Appended(Record(1, b"x"), "acme", 20, "", "")])
    tail.extend([Appended(Record(2, b"x"), "acme", 20, "", "")])
    assert sorted(heard) == ["acme", "all"]
