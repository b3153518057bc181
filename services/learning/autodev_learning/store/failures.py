"""Which stored failures a new one is similar to, found by indexes: as many statements however many failures there are.

What is found decides as the plain rule over all pairs would, the latest first (`reflection.alike`, `reflection.place`).
The latest failures that are in patterns are compared one by one: what fails often is nearly always among them, so the
inverted index is left to tasks that are rare, whose words have few entries.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, case, func, select, union_all
from sqlalchemy.ext.asyncio import AsyncSession

from autodev_learning.memento.reflection import Failure, Peers, alike
from autodev_learning.rows import EpisodeRow, FailureTaskRow, FailureWordRow, TaskWordRow
from autodev_learning.similarity import SIMILAR_OVERLAP, word_overlap
from autodev_learning.word_index import needed, prefix, sizes
from autodev_runtime.columns import conflicting_insert
from autodev_runtime.database import TenantScoped

LATEST_PLACED = 64
LONGEST_WORD = 48
MOST_PARAMETERS = 1_000

Each = TypeVar("Each")


@dataclass(frozen=True)
class Found:
    """What a failure is similar to, the latest first; and its own task in the index, whose words are numbered."""

    similar: Sequence[Failure]
    task: int


async def find_similar(session: AsyncSession, failure: Failure, window: timedelta, peers: Peers | None) -> Found:
    """The latest similar failure that is in a pattern; where none is, those within the window, the latest first.

    They are of the failure's agent, or, given peers, of every agent that is not denied. The failure's task is in the
    index afterwards.
    """
    rows = _Rows(session, failure, peers)
    task = await _find_task(session, failure)
    for each in await rows.latest_placed():
        if alike(failure, each):
            return Found([each], task if task is not None else await _add_task(session, failure, None))
    ordered = sorted(await _numbers(session, failure.words), reverse=True)
    similar = await rows.similar(await rows.similar_tasks(ordered), window)
    return Found(similar, task if task is not None else await _add_task(session, failure, ordered))


async def _find_task(session: AsyncSession, failure: Failure) -> int | None:
    query = select(FailureTaskRow.id).where(
        FailureTaskRow.agent_id == failure.agent_id, FailureTaskRow.words_key == _words_key(failure.words)
    )
    return await session.scalar(query)


async def _add_task(session: AsyncSession, failure: Failure, numbers: Sequence[int] | None) -> int:
    """Put a task into the agent's index. `numbers` are those of its words, the newest first, where they are known."""
    if numbers is None:
        numbers = sorted(await _numbers(session, failure.words), reverse=True)
    words, key = sorted(failure.words), _words_key(failure.words)
    insert = _insert(session, FailureTaskRow).values(agent_id=failure.agent_id, words_key=key, words=words)
    task: int | None = await session.scalar(insert.returning(FailureTaskRow.id))
    if task is None:
        # Somebody else added it meanwhile.
        task = await _find_task(session, failure)
        assert task is not None
    entries = [
        {"word": number, "agent_id": failure.agent_id, "size": len(numbers), "task": task} for number in prefix(numbers)
    ]
    if entries:
        await session.execute(_insert(session, FailureWordRow), entries)
    return task


class _Rows:
    """The failures that one is compared with: its agent's, or those of all agents but the denied."""

    def __init__(self, session: AsyncSession, failure: Failure, peers: Peers | None) -> None:
        self._session = session
        self._failure = failure
        self._peers = peers

    async def latest_placed(self) -> list[Failure]:
        """The latest that are in patterns, the latest first."""
        placed = self._whose(_failures(), EpisodeRow.agent_id).where(EpisodeRow.pattern_id.is_not(None))
        return await self._told(placed.order_by(EpisodeRow.id.desc()).limit(LATEST_PLACED))

    async def similar_tasks(self, ordered: Sequence[int]) -> list[int]:
        """The tasks with words enough in common."""
        if not ordered:
            return []
        count = len(ordered)
        least, most = sizes(count)
        # Of one or two words one is enough; of more, as many as of three.
        met = {size: needed(count, size) for size in range(least, min(most, 2) + 1)}
        enough = case(met, value=FailureWordRow.size, else_=needed(count, 3)) if met else needed(count, 3)
        candidates = (
            select(FailureWordRow.task)
            .where(FailureWordRow.word.in_(prefix(ordered)), FailureWordRow.size.between(least, most))
            .group_by(FailureWordRow.task, FailureWordRow.size)
            .having(func.count(FailureWordRow.word) >= enough)
        )
        candidates = self._whose(candidates, FailureWordRow.agent_id)
        query = select(FailureTaskRow.id, FailureTaskRow.words).where(FailureTaskRow.id.in_(candidates))
        return [
            row.id
            for row in await self._session.execute(query)
            if word_overlap(self._failure.words, frozenset(row.words)) >= SIMILAR_OVERLAP
        ]

    async def similar(self, tasks: Sequence[int], window: timedelta) -> list[Failure]:
        """The latest failure that is in a pattern and has the error or one of the tasks; else those near in time."""
        conditions: list[ColumnElement[bool]] = [EpisodeRow.failure_task.in_(part) for part in _parts(tasks)]
        if self._failure.signature:
            conditions.append(EpisodeRow.signature_key == self._failure.signature)
        moment = self._failure.occurred_at
        near = EpisodeRow.occurred_at.between(moment - window, moment + window)
        picked: list[Any] = []
        for condition in conditions:
            ids = self._whose(select(EpisodeRow.id), EpisodeRow.agent_id)
            placed = ids.where(condition, EpisodeRow.pattern_id.is_not(None)).order_by(EpisodeRow.id.desc()).limit(1)
            picked += [select(placed.subquery().c.id), ids.where(condition, EpisodeRow.pattern_id.is_(None), near)]
        if not picked:
            return []
        query = _failures().where(EpisodeRow.id.in_(union_all(*picked))).order_by(EpisodeRow.id.desc())
        found = await self._told(query)
        placed_one = next((each for each in found if each.pattern_id), None)
        return [placed_one] if placed_one is not None else found

    def _whose(self, query: Any, agent_id: Any) -> Any:
        if self._peers is None:
            return query.where(agent_id == self._failure.agent_id)
        return query.where(agent_id.not_in(self._peers.denied)) if self._peers.denied else query

    async def _told(self, query: Any) -> list[Failure]:
        return [
            Failure(
                row.episode_id,
                row.agent_id,
                frozenset(row.words),
                row.signature_key or "",
                row.occurred_at,
                row.pattern_id,
            )
            for row in await self._session.execute(query)
        ]


def _failures() -> Any:
    columns = (
        EpisodeRow.episode_id,
        EpisodeRow.agent_id,
        FailureTaskRow.words,
        EpisodeRow.signature_key,
        EpisodeRow.occurred_at,
        EpisodeRow.pattern_id,
    )
    return select(*columns).join(FailureTaskRow, FailureTaskRow.id == EpisodeRow.failure_task)


async def _numbers(session: AsyncSession, words: frozenset[str]) -> list[int]:
    """The numbers of the words; those that are seen for the first time get the next ones."""
    stored = sorted({_stored(word) for word in words})
    known = await _known(session, stored)
    # In order, so that of two that number the same words neither waits for the other.
    if missing := [word for word in stored if word not in known]:
        await session.execute(_insert(session, TaskWordRow), [{"word": word} for word in missing])
        known |= await _known(session, missing)
    return list(known.values())


async def _known(session: AsyncSession, words: Sequence[str]) -> dict[str, int]:
    known: dict[str, int] = {}
    for part in _parts(words):
        query = select(TaskWordRow.word, TaskWordRow.number).where(TaskWordRow.word.in_(part))
        known |= {row.word: row.number for row in await session.execute(query)}
    return known


def _stored(word: str) -> str:
    return word if len(word) <= LONGEST_WORD else hashlib.sha256(word.encode()).hexdigest()


def _words_key(words: frozenset[str]) -> str:
    return hashlib.sha256("\0".join(sorted(words)).encode()).hexdigest()


def _insert(session: AsyncSession, model: type[TenantScoped]) -> Any:
    return conflicting_insert(session.get_bind().dialect.name)(model).on_conflict_do_nothing()


def _parts(values: Sequence[Each]) -> Iterator[Sequence[Each]]:
    """Few enough for one statement."""
    for start in range(0, len(values), MOST_PARAMETERS):
        yield values[start : start + MOST_PARAMETERS]
