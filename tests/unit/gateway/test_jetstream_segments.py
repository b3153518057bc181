"""Segments: what is packed is unpacked; and tenants as parts of a subject."""

from hypothesis import given
from hypothesis import strategies as st

from autodev_gateway import wire
from autodev_gateway.event_log import EpisodeReport, Record
from autodev_gateway.event_log.appending import Stamped
from autodev_gateway.event_log.jetstream.segment import SEGMENT_BYTES, packed, segments_of, unpacked
from autodev_gateway.event_log.jetstream.stream import token_of
from autodev_gateway.event_log.model import Appended

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
REPORTS = st.none() | st.builds(EpisodeReport, TEXT, TEXT, st.integers(0, 3), st.binary(max_size=50))


def stamped(seq: int, tenant: str, body: bytes, episode: EpisodeReport | None = None) -> Stamped:
    return Stamped(Appended(Record(seq, wire.sized(body)), tenant, 20, "ada", ""), f"id-{seq}", episode)


@given(st.text(max_size=20), st.lists(st.tuples(st.binary(max_size=200), REPORTS, st.booleans()), min_size=1))
def test_what_is_packed_is_unpacked(tenant: str, parts: list[tuple[bytes, EpisodeReport | None, bool]]) -> None:
    events = [
        # An episode's task is mostly within its event, and need not be.
        stamped(seq, tenant, body + (report.task if report is not None and inside else b""), report)
        for seq, (body, report, inside) in enumerate(parts)
    ]
    assert unpacked(packed(events)) == events


def test_a_task_within_its_event_is_stored_once() -> None:
    task = b"x" * 5000
    alone = packed([stamped(1, "acme", b"head" + task)])
    both = packed([stamped(1, "acme", b"head" + task, EpisodeReport("episode", "ada", 1, task))])
    assert len(both) - len(alone) < 100


def test_segments_are_of_one_tenant_and_bounded() -> None:
    events = [stamped(1, "a", b"1"), stamped(2, "a", b"2"), stamped(3, "b", b"3")]
    large = [stamped(seq, "b", b"x" * (SEGMENT_BYTES // 2)) for seq in range(4, 8)]
    found = list(segments_of([*events, *large]))
    assert [each for part in found for each in part] == [*events, *large]
    assert [len(part) for part in found] == [2, 2, 1, 1, 1]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=2, max_size=2, unique=True))
def test_tenants_have_subjects_of_their_own(tenants: list[str]) -> None:
    one, other = (token_of(tenant) for tenant in tenants)
    assert one != other
    assert not set(one) & set(".*> \t")
