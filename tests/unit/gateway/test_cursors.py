"""Cursors: opaque, in order, and refused when the log did not give them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autodev_gateway.event_log import cursor_of, seq_of
from autodev_runtime.errors import InvalidArgument

PLACES = st.integers(0, 2**63 - 1)


@given(PLACES)
def test_a_cursor_names_its_place(place: int) -> None:
    assert seq_of(cursor_of(place), head=place, field="after_cursor") == place


@given(PLACES, PLACES)
def test_cursors_sort_as_their_places(one: int, other: int) -> None:
    assert (cursor_of(one) < cursor_of(other)) == (one < other)


@given(st.integers(0, 2**63 - 2))
def test_a_cursor_beyond_the_end_was_never_given(head: int) -> None:
    with pytest.raises(InvalidArgument) as refused:
        seq_of(cursor_of(head + 1), head, "after_cursor")
    assert [each.field for each in refused.value.violations] == ["after_cursor"]


@pytest.mark.parametrize("text", ["", "0", "zz", "-000000000000001", "0x00000000000001", "00000000000000001", "٠" * 16])
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        seq_of(text, 2**63, "after_cursor")


@given(st.text(max_size=20))
def test_any_text_is_a_cursor_or_is_refused(text: str) -> None:
    try:
        place = seq_of(text, 2**62, "after_cursor")
    except InvalidArgument:
        return
    assert cursor_of(place) == text
