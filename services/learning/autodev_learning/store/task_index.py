"""The inverted index of failed tasks in the database: scripts that write what a task has there (`word_index`)."""

import hashlib
from collections.abc import Sequence

from autodev_learning.word_index import entries, prefix
from autodev_runtime.scripts import Script, Statement, array

LONGEST_WORD = 48

_NUMBERS = """
SELECT value ->> 0, (SELECT number FROM task_words WHERE tenant_id = $1 AND word = value ->> 0) FROM EACH($2)"""
_ADD_WORDS = """
INSERT INTO task_words (tenant_id, word) SELECT $1, value ->> 0 FROM EACH($2) WHERE true ON CONFLICT DO NOTHING"""
_ADD_ENTRIES = """
INSERT INTO failure_words (tenant_id, agent_id, size, task, word)
SELECT $1, $2, CAST($3 AS integer), CAST($4 AS bigint), CAST(value ->> 0 AS bigint) FROM EACH($5) WHERE true
ON CONFLICT DO NOTHING"""
_DROP_ENTRIES = """
DELETE FROM failure_words WHERE tenant_id = $1 AND agent_id = $2 AND size = $3 AND task = $4 AND word IN ({words})"""


def numbers(tenant: str, words: Sequence[str]) -> Script[list[int]]:
    """The numbers of words, the newest first; those that are seen for the first time get the next ones."""
    stored = rows_of(sorted({_stored(word) for word in words}))
    known = yield Statement(_NUMBERS, (tenant, stored))
    # In order, so that of two that number the same words neither waits for the other.
    if missing := sorted(word for word, number in known if number is None):
        yield Statement(_ADD_WORDS, (tenant, rows_of(missing)))
        known = yield Statement(_NUMBERS, (tenant, stored))
    return sorted((number for _, number in known), reverse=True)


def add_entries(tenant: str, agent_id: str, task: int, ordered: Sequence[int]) -> Script[None]:
    """Put a task into its agent's index, given the numbers of its words; what is there stays."""
    yield Statement(_ADD_ENTRIES, (tenant, agent_id, len(ordered), task, rows_of(entries(ordered))))


def drop_entries(
    tenant: str, agent_id: str, task: int, ordered: Sequence[int], keep: Sequence[int] = ()
) -> Script[None]:
    """Take a task out of its agent's index, but for the entries to `keep`: whether it is there by pairs or by words."""
    gone = sorted({*entries(ordered), *prefix(ordered)}.difference(keep))
    drop = _DROP_ENTRIES.format(words=marks(5, len(gone)))
    yield Statement(drop, (tenant, agent_id, len(ordered), task, *gone))


def rows_of(values: Sequence[object]) -> str:
    """Values for EACH, one a row."""
    return array([[value] for value in values])


def marks(first: int, count: int) -> str:
    """So many parameters of a list, from `$first` on."""
    return ", ".join(f"${number}" for number in range(first, first + count)) or "NULL"


def _stored(word: str) -> str:
    return word if len(word) <= LONGEST_WORD else hashlib.sha256(word.encode()).hexdigest()
