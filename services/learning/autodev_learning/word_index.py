"""Which words of a task an index must hold, so that every similar task is found without looking at the others.

Two tasks are similar where they share at least half of the longer one's words (`similarity.word_overlap`). Put each
task's words in one order that is the same for all tasks. If n and m words share `needed` or more of their common ones,
then the first `needed` of those stand early in both: behind the last of them, each task still has as many words as the
tasks share besides. So it is enough to store, and to look up, the first `prefix` words of each (the prefix filter of
set-similarity joins). What is met is then compared in full.

As two words are met at least, pairs of them are stored: two common words together are rare. Only where one word is half
of a task, and of tasks with so many words that they would have hundreds of pairs, it is the words themselves.

The order is free as long as it does not change. Words are numbered as they are first seen, and the newest come first:
what many tasks say is said early, so common words are mostly left out.
"""

from collections.abc import Collection, Iterable, Sequence
from itertools import combinations
from typing import Final
from zlib import crc32

MATCHES: Final = 2
"""Words that must be met, where that many are shared: one more than the least halves the tasks compared in vain."""

ONE_IS_HALF: Final = 2
"""The most words of a task to which another can be similar that shares one word with it."""

LONGEST_PAIRED: Final = 20
"""The most words of a task that is found by pairs of them; it has 66. What is stored depends on it."""

PLACES: Final = 63
"""Bits that tell a task, in a number that both databases have and that is not below zero. Stored as well."""


def entries(ordered: Sequence[int]) -> Sequence[int]:
    """What is stored of a task, given its words in order (numbers, the newest first): some of them, or pairs."""
    count = len(ordered)
    words = prefix(ordered)
    by_words = count <= ONE_IS_HALF or count > LONGEST_PAIRED
    return _both(words, by_words, count <= LONGEST_PAIRED)


def looked_up(ordered: Sequence[int]) -> Sequence[int]:
    """The entries that tasks similar to this one have: one pair in common, or `needed` words."""
    least, most = sizes(len(ordered))
    by_words = len(ordered) <= ONE_IS_HALF or most > LONGEST_PAIRED
    return _both(prefix(ordered), by_words, least <= LONGEST_PAIRED)


def bits_of(words: Iterable[str]) -> int:
    """A task's words as bits: a word has the same in every task, and by them most tasks are told apart unread."""
    return sum(1 << place for place in {_place(word) for word in words})


def places_of(words: Collection[str]) -> Sequence[int]:
    """Each word's bit. Of more words than there are bits none is told: nearly every task would have them all."""
    return [_place(word) for word in words] if len(words) <= PLACES else []


def prefix(ordered: Sequence[int]) -> Sequence[int]:
    """The words that matter, of all in order."""
    shared = _half(len(ordered))
    return ordered[: len(ordered) - shared + min(MATCHES, shared)]


def sizes(count: int) -> tuple[int, int]:
    """The least and the most words of a task that can be similar to one of `count` words."""
    return _half(count), 2 * count


def needed(count: int, other: int) -> int:
    """How many words of the two prefixes are the same, at least, where tasks of so many words are similar."""
    return min(MATCHES, _half(max(count, other)))


def _both(words: Sequence[int], by_words: bool, by_pairs: bool) -> Sequence[int]:
    return [*(words if by_words else ()), *(_pair(*each) for each in combinations(words, 2) if by_pairs)]


def _pair(first: int, second: int) -> int:
    """Two words as one number of 64 bits, below zero as no word's is. Past 2^31 words some pairs share one."""
    return -1 - ((first % 2**31) * 2**32 + second % 2**32)


def _place(word: str) -> int:
    return crc32(word.encode()) % PLACES


def _half(count: int) -> int:
    return (count + 1) // 2
