"""The index of words misses no similar task, whatever the order of the words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autodev_learning.similarity import SIMILAR_OVERLAP, word_overlap
from autodev_learning.word_index import LONGEST_PAIRED, PLACES, bits_of, entries, looked_up, needed, places_of, sizes

# Few numbers, so that many pairs are similar and many nearly so; some have more words than are told by pairs.
SEEN = 50
SHORT = st.frozensets(st.integers(1, 15), min_size=1, max_size=12)
LONG = st.frozensets(st.integers(1, SEEN), min_size=LONGEST_PAIRED - 3, max_size=SEEN)


def is_met(one: list[int], other: list[int]) -> bool:
    """Whether the index has a task of some words for one of others, as its query asks."""
    least, most = sizes(len(one))
    met = set(looked_up(one)) & set(entries(other))
    return least <= len(other) <= most and (min(met, default=0) < 0 or len(met) >= needed(len(one), least))


@given(st.one_of(SHORT, LONG), st.one_of(SHORT, LONG), st.permutations(range(SEEN + 1)))
def test_similar_tasks_are_met(one: frozenset[int], other: frozenset[int], order: list[int]) -> None:
    words = [frozenset(map(str, each)) for each in (one, other)]
    ordered = [sorted(each, key=order.index) for each in (one, other)]
    assert is_met(*ordered) or word_overlap(*words) < SIMILAR_OVERLAP


@pytest.mark.parametrize("count", [LONGEST_PAIRED - 1, LONGEST_PAIRED, LONGEST_PAIRED + 1, 2 * LONGEST_PAIRED])
@pytest.mark.parametrize("less", [0, 1])
def test_so_are_those_of_half_as_many_words_at_either_end(count: int, less: int) -> None:
    words = list(range(count, 0, -1))
    for half in (words[: (count + 1) // 2 - less], words[count // 2 + less :]):
        similar = len(half) * 2 >= count
        assert [is_met(words, half), is_met(half, words)] == [similar, similar]


def test_the_half_of_a_task_that_was_seen_first_is_left_out() -> None:
    met = [task for task in ([9, 8, 7], [9, 5, 2], [5, 4, 3], [4, 3, 2]) if is_met([9, 8, 7, 6, 5, 4], task)]
    assert met == [[9, 8, 7], [9, 5, 2]]


def test_a_pair_is_told_from_every_word_and_every_other_pair() -> None:
    pairs = [entry for first in range(2, 40) for entry in entries([first, first - 1]) if entry < 0]
    assert len(pairs) == len(set(pairs)) == 38
    assert all(-(2**63) <= entry < 2**63 for entry in entries([2**63 - 1, 2**63 - 2, 2**32]))


def test_what_is_stored_of_a_task_is_bounded() -> None:
    assert [len(entries(range(count, 0, -1))) for count in (0, 1, 2, 3, 8, LONGEST_PAIRED)] == [0, 1, 3, 3, 15, 66]
    assert len(entries(range(600, 0, -1))) == 302
    assert max(len(looked_up(range(count, 0, -1))) for count in range(1, 2 * LONGEST_PAIRED + 1)) == 253


@given(st.frozensets(st.text(min_size=1)), st.frozensets(st.text(min_size=1)), st.frozensets(st.text(min_size=1)))
def test_the_bits_tell_of_no_fewer_words_than_are_shared(
    one: frozenset[str], other: frozenset[str], both: frozenset[str]
) -> None:
    bits = bits_of(other | both)
    assert 0 <= bits < 2**PLACES
    assert sum(bits >> place & 1 for place in places_of(one | both)) >= len((one | both) & (other | both))


def test_the_bits_tell_most_tasks_apart() -> None:
    tasks = [[f"word{number * 8 + each}" for each in range(8)] for number in range(100)]
    told = [sum(bits_of(other) >> place & 1 for place in places_of(tasks[0])) < 4 for other in tasks[1:]]
    assert sum(told) > 90


def test_a_task_of_more_words_than_bits_is_told_by_none() -> None:
    assert len(places_of([f"word{number}" for number in range(PLACES)])) == PLACES
    assert places_of([f"word{number}" for number in range(PLACES + 1)]) == []
