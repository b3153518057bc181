"""Ids of callers' signals are never those of signed webhooks, and none is lost or shared."""

from hypothesis import given
from hypothesis import strategies as st

from autodev_fitness.signal_ids import callers_id, stated_id

IDENTIFIERS = st.from_regex(r"[A-Za-z0-9._:/@-]{1,128}", fullmatch=True)


@given(IDENTIFIERS)
def test_a_callers_id_is_no_webhooks_and_can_be_told_back(stated: str) -> None:
    kept = callers_id(stated)
    # `<source>:<webhook-id>`, and a source is at least one letter without a colon.
    assert kept != stated or ":" not in kept
    assert stated_id(kept) == stated
    assert len(kept) == len(stated)


@given(IDENTIFIERS)
def test_a_webhooks_id_is_told_as_it_is(kept: str) -> None:
    assert stated_id(kept) == kept
