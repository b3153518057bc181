"""Which words of a task an index must hold, so that every similar task is found without looking at the others.

Two tasks are similar where they share at least half of the longer one's words (`similarity.word_overlap`). Put each
task's words in one order that is the same for all tasks. If n and m words share `needed` or more of their common ones,
then the first `needed` of those stand early in both: behind the last of them, each task still has as many words as the
tasks share besides. So it is enough to store, and to look up, the first `prefix` words of each (the prefix filter of
set-similarity joins), and to count how many are met. What is met is then compared in full.

The order is free as long as it does not change. Words are numbered as they are first seen, and the newest come first:
what many tasks say is said early, so common words are mostly left out.
"""

from collections.abc import Sequence

MATCHES = 2
"""Words that must be met, where that many are shared: one more than the least halves the tasks compared in vain."""


def prefix(ordered: Sequence[int]) -> Sequence[int]:
    """The words to store and to look up, of all in order: numbers, the newest first."""
    shared = _half(len(ordered))
    return ordered[: len(ordered) - shared + min(MATCHES, shared)]


def sizes(count: int) -> tuple[int, int]:
    """The least and the most words of a task that can be similar to one of `count` words."""
    return _half(count), 2 * count


def needed(count: int, other: int) -> int:
    """How many words of the two prefixes are the same, at least, where tasks of so many words are similar."""
    return min(MATCHES, _half(max(count, other)))


def _half(count: int) -> int:
    return (count + 1) // 2
