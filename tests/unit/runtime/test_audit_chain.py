"""The audit log's chain: any single change of it is found, and where."""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autodev_runtime.audit_chain import START, ChainBroken, Head, Verifier, canonical, chained

FACTS = st.dictionaries(
    st.sampled_from(["by", "rpc", "status", "values"]),
    st.text(max_size=8) | st.integers(-(2**53), 2**53) | st.lists(st.text(max_size=3), max_size=2),
    max_size=4,
)


@dataclass(frozen=True)
class Entry:
    content: bytes
    hash: str


def chain_of(facts: Sequence[Mapping[str, object]], tenant: str = "acme") -> list[Entry]:
    entries: list[Entry] = []
    before = START
    for number, each in enumerate(facts, start=1):
        content = canonical({**each, "number": number, "tenant": tenant})
        before = chained(before, content)
        entries.append(Entry(content, before.hex()))
    return entries


CHAINS = st.lists(FACTS, min_size=1, max_size=6).map(lambda facts: chain_of(facts))


def head_of(entries: list[Entry], expected: Head | None = None, tenant: str | None = "acme") -> Head:
    verifier = Verifier(tenant, expected)
    for entry in entries:
        verifier.take(entry.content, entry.hash)
    return verifier.finish()


@given(CHAINS)
def test_a_chain_as_it_was_written_holds_and_goes_on(entries: list[Entry]) -> None:
    head = head_of(entries)
    assert head == Head(len(entries), bytes.fromhex(entries[-1].hash))
    assert Head.parse(str(head)) == head
    assert head_of(entries, head, None) == head
    for number, entry in enumerate(entries, start=1):
        assert head_of(entries, Head(number, bytes.fromhex(entry.hash))) == head


@given(CHAINS, st.data())
def test_any_bit_of_any_entry_that_changes_is_found_there(entries: list[Entry], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(entries) - 1))
    content = bytearray(entries[at].content)
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    changed = [*entries[:at], dataclasses.replace(entries[at], content=bytes(content)), *entries[at + 1 :]]
    with pytest.raises(ChainBroken) as broken:
        head_of(changed)
    assert broken.value.number == at + 1


@given(CHAINS, st.data())
def test_any_hash_that_changes_is_found_there(entries: list[Entry], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(entries) - 1))
    other = data.draw(st.text("0123456789abcdef", min_size=64, max_size=64) | st.text(max_size=70))
    if other == entries[at].hash:
        return
    changed = [*entries[:at], dataclasses.replace(entries[at], hash=other), *entries[at + 1 :]]
    with pytest.raises(ChainBroken) as broken:
        head_of(changed)
    assert broken.value.number == at + 1


@given(CHAINS, st.data())
def test_an_entry_that_is_removed_added_or_moved_is_found(entries: list[Entry], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(entries) - 1))
    to = data.draw(st.integers(0, len(entries) - 1))
    head = head_of(entries)
    moved = [*entries[:at], *entries[at + 1 :]]
    removed = list(moved)
    moved.insert(to, entries[at])
    doubled = [*entries[: to + 1], entries[at], *entries[to + 1 :]]
    for changed in (removed, moved, doubled):
        if changed == entries:
            continue
        with pytest.raises(ChainBroken):
            head_of(changed, head)


@given(CHAINS, st.data())
def test_an_end_that_is_missing_is_found_by_a_head_that_was_kept(entries: list[Entry], data: st.DataObject) -> None:
    kept = data.draw(st.integers(0, len(entries) - 1))
    with pytest.raises(ChainBroken) as broken:
        head_of(entries[:kept], head_of(entries))
    assert broken.value.number == kept + 1


@given(CHAINS, st.data())
def test_a_chain_that_was_written_anew_is_not_the_one_of_a_head_that_was_kept(
    entries: list[Entry], data: st.DataObject
) -> None:
    facts = data.draw(st.lists(FACTS, min_size=1, max_size=6))
    anew = chain_of(facts)
    if anew[: len(entries)] == entries:
        return
    with pytest.raises(ChainBroken):
        head_of(anew, head_of(entries))


def test_another_tenants_chain_is_not_this_ones() -> None:
    theirs = chain_of([{"by": "ada"}], "globex")
    with pytest.raises(ChainBroken, match="another tenant"):
        head_of(theirs)


def test_an_entry_in_another_form_is_none_even_where_its_hash_fits() -> None:
    content = b'{"number": 1, "tenant": "acme"}'
    with pytest.raises(ChainBroken, match="not written as"):
        head_of([Entry(content, chained(START, content).hex())])


def test_a_place_that_is_left_out_is_found_even_where_all_hashes_fit() -> None:
    entries, before = [], START
    for number in (1, 3):
        content = canonical({"number": number, "tenant": "acme"})
        before = chained(before, content)
        entries.append(Entry(content, before.hex()))
    with pytest.raises(ChainBroken, match="number 3") as broken:
        head_of(entries)
    assert broken.value.number == 2


def test_hashes_are_what_the_documentation_says() -> None:
    first, second = chain_of([{"by": "ada"}, {"by": "bob"}])
    before = hashlib.sha256(bytes(32) + first.content).digest()
    assert first.hash == before.hex()
    assert second.hash == hashlib.sha256(before + second.content).hexdigest()


@pytest.mark.parametrize("text", ["", "1", "1:", "1:zz", f"x:{'0' * 64}", f"-1:{'0' * 64}", f"1:{'g' * 64}"])
def test_what_is_no_head_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Head.parse(text)
