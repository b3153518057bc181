"""Which stored failures a new one is similar to, found by indexes: as many statements however many failures there are.

What is found decides as the plain rule over all pairs would, the latest first (`reflection.alike`, `reflection.place`).
The latest failures that are in patterns are compared one by one by their tasks: what fails often is nearly always among
them, so the inverted index is left to tasks that are rare, whose words have few entries.

It is a script (`autodev_runtime.scripts`) within the caller's transaction: putting these statements together anew for
every failure, and each one's way through the database library, took longer than doing them. So each names its tenant
itself.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from autodev_learning.memento.reflection import Failure, Peers, same_task
from autodev_learning.similarity import SIMILAR_OVERLAP, task_words, word_overlap
from autodev_learning.store.task_index import add_entries, marks, numbers, rows_of
from autodev_learning.word_index import bits_of, looked_up, needed, places_of, prefix, sizes
from autodev_runtime.database import dialect_of, done_within
from autodev_runtime.scripts import Dialect, Rows, Script, Statement

FAILURES_TURN = "failures"
"""Who places a failure takes this turn with the agent's name; where it is placed among all agents', without as well."""
LATEST_PLACED = 500
"""So many of the latest that are in patterns are told apart by their bits."""
LATEST_TOLD = 16
"""Of these, the latest so many that may be similar are compared in full."""
MOST_PARAMETERS = 1_000
UNTOLD = "1000000"
"""What is shared at most with a task of more words than bits tell apart: more than any has."""

# $1 is the tenant, in every statement; $2 says whose failures count, where {whose} is. What is looked up by a list is
# asked for one by one within the statement, or by parameters of its own: of a list as a whole, PostgreSQL, and SQLite
# where nobody has had it count its rows, think that reading the whole table is cheaper.
_OWN = "agent_id = $2"
_NOT_DENIED = "agent_id NOT IN (SELECT value ->> 0 FROM EACH($2))"

_TASK = "SELECT id FROM failure_tasks WHERE tenant_id = $1 AND agent_id = $2 AND words_key = $3"
# Not a parameter, or PostgreSQL could not tell that the index of such tasks holds them all.
_BY_WORDS = "SELECT EXISTS (SELECT 1 FROM failure_tasks WHERE tenant_id = $1 AND bits < 0)"
_ADD_TASK = """
INSERT INTO failure_tasks (tenant_id, agent_id, words_key, words, bits) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING RETURNING id"""
# By no fewer bits in common than half of the longer one's words; what is left is told apart in full. It comes as one
# text: of thousands of rows, making and reading each took longer than finding it.
_MET = """
SELECT JOINED(
    (
        SELECT '[' || id || ',' || CAST(words AS text) || ']' FROM failure_tasks
        WHERE tenant_id = $1 AND id = met.task AND ({shared}) >= (CASE WHEN size > $5 THEN size ELSE $5 END + 1) / 2
    ), ','
)
FROM ({met}) AS met"""
_ENTRIES = "failure_words WHERE tenant_id = $1 AND {whose} AND word IN ({entries}) AND size BETWEEN $3 AND $4"
_MET_BY_PAIRS = f"SELECT DISTINCT task, size FROM {_ENTRIES}"
# A pair is below zero.
_MET_BY_WORDS = f"""
SELECT task, size FROM {_ENTRIES} GROUP BY task, size HAVING min(word) < 0 OR count(*) >= {{needed}}"""

# What an earlier release placed is told by its pattern's task, and who makes a pattern by its examples: where neither
# is asked, neither is read.
_COLUMNS = """
SELECT episode_id, agent_id, signature_key, occurred_at, pattern_id, astray,
    (SELECT CAST(words AS text) FROM failure_tasks AS own WHERE own.tenant_id = $1 AND own.id = episodes.failure_task),
    """
_FAILURES = _COLUMNS + "NULL, CAST(examples AS text) <> '[]' FROM episodes WHERE tenant_id = $1 AND "
_LATEST_PLACED = (
    _COLUMNS
    + """NULL, false
FROM (
    SELECT id FROM (
        SELECT id, failure_task FROM episodes
        WHERE tenant_id = $1 AND {whose} AND pattern_id IS NOT NULL AND failure_task IS NOT NULL
        ORDER BY id DESC LIMIT {most}
    ) AS placed
    WHERE (SELECT ({shared}) >= $3 FROM failure_tasks AS own WHERE own.tenant_id = $1 AND own.id = placed.failure_task)
    ORDER BY id DESC LIMIT {told}
) AS near JOIN episodes ON episodes.tenant_id = $1 AND episodes.id = near.id
ORDER BY episodes.id DESC"""
)
# The latest that is at home at one of the tasks; else that is at one of them; else that has the error. Each is the
# first that its index comes to.
_OF_EACH = """(
        SELECT max(latest) FROM (
            SELECT (
                SELECT id FROM episodes
                WHERE tenant_id = $1 AND failure_task = CAST(value ->> 0 AS bigint) AND {such} ORDER BY id DESC LIMIT 1
            ) AS latest FROM EACH($3)
        ) AS candidates
    )"""
_PLACED = (
    _COLUMNS
    + """(
        SELECT task_description FROM failure_patterns AS its WHERE its.tenant_id = $1 AND its.id = episodes.pattern_id
    ), false
FROM episodes WHERE tenant_id = $1 AND id = COALESCE("""
    + ", ".join(_OF_EACH.format(such=such) for such in ("NOT astray", "pattern_id IS NOT NULL"))
    + """, (
        SELECT id FROM episodes
        WHERE tenant_id = $1 AND {whose} AND signature_key = $4 AND pattern_id IS NOT NULL ORDER BY id DESC LIMIT 1
    ))"""
)
_WAITING = (
    _FAILURES
    + """failure_task IN ({tasks}) AND COALESCE(astray, pattern_id IS NULL)
    AND occurred_at BETWEEN MOMENT($2) AND MOMENT($3)"""
)
# COALESCE keeps the index of patterns out of it, by which everything that is in none would be read.
_LOOSE = (
    _FAILURES
    + """{whose} AND signature_key = $3 AND COALESCE(pattern_id, '') = ''
    AND occurred_at BETWEEN MOMENT($4) AND MOMENT($5)"""
)


def around(moment: datetime, window: timedelta) -> tuple[datetime, datetime]:
    """The first and the last moment that are no further away, of those that there are: a runtime may state any."""
    first, last = (end.replace(tzinfo=UTC) for end in (datetime.min, datetime.max))
    return moment - min(window, moment - first), moment + min(window, last - moment)


@dataclass(frozen=True)
class Found:
    """What a failure is similar to, as far as that decides; and its own task in the index, whose words are numbered."""

    similar: Sequence[Failure]
    task: int


async def find_similar(session: AsyncSession, failure: Failure, window: timedelta, peers: Peers | None) -> Found:
    """The latest failure whose pattern it belongs to by its task; where none is, those that decide otherwise.

    These are the latest whose pattern it can join, and the similar ones within the window that it can make one with.
    They are of the failure's agent, or, given peers, of every agent that is not denied. The failure's task is in the
    index afterwards.
    """
    rows = _Rows(session.info["tenant"], dialect_of(session), failure, peers)
    return await done_within(session, _find(rows, failure, window))


def _find(rows: "_Rows", failure: Failure, window: timedelta) -> Script[Found]:
    task = yield from rows.find_task()
    for each in (yield from rows.latest_placed()):
        if each.astray is False and same_task(failure, each):
            if task is None:
                task = yield from rows.add_task((yield from rows.numbers()))
            return Found([each], task)
    ordered = yield from rows.numbers()
    similar = yield from rows.similar((yield from rows.similar_tasks(ordered)), window)
    if task is None:
        task = yield from rows.add_task(ordered)
    return Found(similar, task)


class _Rows:
    """The failures that one is compared with: its agent's, or those of all agents but the denied."""

    def __init__(self, tenant: str, dialect: Dialect, failure: Failure, peers: Peers | None) -> None:
        self._tenant = tenant
        self._dialect = dialect
        self._failure = failure
        self._words = sorted(failure.words)
        self._words_key = words_key(failure.words)
        self._places = places_of(failure.words)
        self._whose = _OWN if peers is None else _NOT_DENIED
        self._who = failure.agent_id if peers is None else rows_of(sorted(peers.denied))

    def find_task(self) -> Script[int | None]:
        """The failure's task in its agent's index."""
        rows = yield self._statement(_TASK, self._failure.agent_id, self._words_key)
        return rows[0][0] if rows else None

    def add_task(self, ordered: Sequence[int]) -> Script[int]:
        """Put the task into the agent's index, given the numbers of its words, the newest first."""
        agent_id = self._failure.agent_id
        added = yield self._statement(
            _ADD_TASK, agent_id, self._words_key, json.dumps(self._words), bits_of(self._words)
        )
        # Without a row, somebody else added it meanwhile.
        task = added[0][0] if added else (yield from self.find_task())
        assert task is not None
        yield from add_entries(self._tenant, agent_id, task, ordered)
        return task

    def numbers(self) -> Script[list[int]]:
        """The numbers of the words, the newest first."""
        return numbers(self._tenant, self._words)

    def latest_placed(self) -> Script[list[Failure]]:
        """The latest that are in patterns, the latest first."""
        if not self._words:
            return []
        shared = _shared(4, len(self._places))
        sql = _LATEST_PLACED.format(whose=self._whose, shared=shared, most=LATEST_PLACED, told=LATEST_TOLD)
        least, _ = sizes(len(self._words))
        rows = yield self._statement(sql, self._who, least, *self._places)
        return self._failures(rows)

    def similar_tasks(self, ordered: Sequence[int]) -> Script[list[int]]:
        """The tasks with half of the longer one's words in common."""
        least, most = sizes(len(ordered))
        asked = looked_up(ordered)
        ((by_words,),) = yield self._statement(_BY_WORDS)
        if by_words:
            # By a release that knew no pairs (`reindexing`).
            asked = sorted({*asked, *prefix(ordered)})
        by_pairs = all(entry < 0 for entry in asked)
        met = (_MET_BY_PAIRS if by_pairs else _MET_BY_WORDS).format(
            whose=self._whose, entries=marks(6, len(asked)), needed=needed(len(ordered), least)
        )
        sql = _MET.format(met=met, shared=_shared(6 + len(asked), len(self._places)))
        ((joined,),) = yield self._statement(sql, self._who, least, most, len(ordered), *asked, *self._places)
        tasks = json.loads(f"[{joined or ''}]")
        return [task for task, words in tasks if word_overlap(self._failure.words, words) >= SIMILAR_OVERLAP]

    def similar(self, tasks: Sequence[int], window: timedelta) -> Script[list[Failure]]:
        """The failures that decide where it belongs, the latest that is in a pattern first."""
        if not tasks and not self._failure.signature:
            return []
        sql = _PLACED.format(whose=self._whose)
        placed = self._failures((yield self._statement(sql, self._who, rows_of(tasks), self._failure.signature)))
        if placed and placed[0].astray is False and same_task(self._failure, placed[0]):
            return placed
        first, last = around(self._failure.occurred_at, window)
        near = self._dialect.written(first), self._dialect.written(last)
        found = [*placed, *(yield from self._waiting(tasks, near))]
        if not placed and self._failure.signature:
            sql = _LOOSE.format(whose=self._whose)
            found += self._failures((yield self._statement(sql, self._who, self._failure.signature, *near)))
        # One that was placed and waits is both.
        return list({each.episode_id: each for each in found}.values())

    def _waiting(self, tasks: Sequence[int], near: tuple[str, str]) -> Script[list[Failure]]:
        """Those near in time at one of the tasks that wait for others at theirs, in a pattern or in none."""
        found: list[Failure] = []
        # Few enough for one statement.
        for start in range(0, len(tasks), MOST_PARAMETERS):
            part = tasks[start : start + MOST_PARAMETERS]
            rows = yield self._statement(_WAITING.format(tasks=marks(4, len(part))), *near, *part)
            found += self._failures(rows)
        return found

    def _failures(self, rows: Rows) -> list[Failure]:
        return [
            Failure(
                episode_id=episode,
                agent_id=agent,
                words=frozenset(json.loads(words)),
                signature=signature or "",
                occurred_at=self._dialect.read(moment),
                pattern_id=pattern,
                astray=None if astray is None else bool(astray),
                answered_words=None if answered is None else task_words(answered),
                has_examples=bool(examples),
            )
            for episode, agent, signature, moment, pattern, astray, words, answered, examples in rows
        ]

    def _statement(self, sql: str, *parameters: object) -> Statement:
        return Statement(sql, (self._tenant, *parameters))


def words_key(words: frozenset[str]) -> str:
    """What an index finds a task's words by."""
    return hashlib.sha256("\0".join(sorted(words)).encode()).hexdigest()


def _shared(first: int, count: int) -> str:
    """How many of a failure's words a task may have, given their places, the parameters from `$first` on."""
    return " + ".join(f"(bits >> ${number} & 1)" for number in range(first, first + count)) or UNTOLD
