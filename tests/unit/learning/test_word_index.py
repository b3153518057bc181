"""The index of words misses no similar task, whatever the order of the words."""

from hypothesis import given
from hypothesis import strategies as st

from autodev_learning.similarity import SIMILAR_OVERLAP, word_overlap
from autodev_learning.word_index import needed, prefix, sizes

# Few numbers, so that many pairs are similar and many nearly so.
TASKS = st.frozensets(st.integers(0, 14), min_size=1, max_size=12)


@given(TASKS, TASKS, st.permutations(range(15)))
def test_similar_tasks_meet_in_as_many_words_as_are_needed(
    one: frozenset[int], other: frozenset[int], order: list[int]
) -> None:
    found = [set(prefix(sorted(words, key=order.index))) for words in (one, other)]
    least, most = sizes(len(one))
    is_candidate = least <= len(other) <= most and len(found[0] & found[1]) >= needed(len(one), len(other))
    words = [frozenset(map(str, each)) for each in (one, other)]
    assert is_candidate or word_overlap(*words) < SIMILAR_OVERLAP


def test_the_half_of_a_task_that_was_seen_first_is_left_out() -> None:
    assert [len(prefix(range(count))) for count in (0, 1, 2, 3, 4, 6, 8, 12)] == [0, 1, 2, 3, 4, 5, 6, 8]
    assert list(prefix([9, 8, 7, 6, 5, 4])) == [9, 8, 7, 6, 5]


def test_one_word_is_enough_only_where_one_word_is_half() -> None:
    assert [needed(1, 1), needed(1, 2), needed(2, 2), needed(2, 3), needed(5, 9)] == [1, 1, 1, 2, 2]
