"""Episodes and failure patterns."""

from collections.abc import Sequence
from typing import TypeVarTuple

from sqlalchemy import ColumnElement, Select, delete, false, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from autodev_learning.examples import Example
from autodev_learning.memento.announcements import pattern_detected
from autodev_learning.memento.reflection import (
    NO_EXAMPLES,
    Answering,
    Episode,
    Failure,
    FailurePattern,
    Outcome,
    PatternRule,
    Peers,
    PeersUnknown,
    Placement,
    Segment,
    ToolCall,
    failure_of,
    place,
    signature_key,
    task_key,
)
from autodev_learning.rows import EpisodeRow, FailurePatternRow
from autodev_learning.similarity import COMPARED_CHARACTERS, similar_tasks
from autodev_learning.store.failures import FAILURES_TURN, find_similar
from autodev_learning.store.shapes import Json
from autodev_learning.store.turns import take_turn
from autodev_runtime.columns import insert_if_absent, now
from autodev_runtime.database import Database
from autodev_runtime.errors import NotFound
from autodev_runtime.identity import current_tenant
from autodev_runtime.outbox import Outbox
from autodev_runtime.repeating import repeatable
from autodev_sdk.events import uuid7

COMPARED_TASKS = 500
PATTERN_FAILURES = 500

EXAMPLES: Json[tuple[Example, ...]] = Json(tuple[Example, ...])
TOOL_CALLS: Json[tuple[ToolCall, ...]] = Json(tuple[ToolCall, ...])
SEGMENTS: Json[tuple[Segment, ...]] = Json(tuple[Segment, ...])

Chosen = TypeVarTuple("Chosen")

_FAILED = EpisodeRow.outcome != Outcome.SUCCESS


class EpisodeStore:
    """Every method is about the current tenant."""

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._database = database
        self._outbox = outbox

    @repeatable
    async def add_failure(
        self, episode: Episode, rule: PatternRule, peers: Peers | None, answering: Answering = Answering.TODAY
    ) -> FailurePattern | None:
        """Keep a failure and place it among its agent's, or among those of all peers.

        Returns the pattern that it makes, which is announced; None where it makes none. One that it joins is announced
        again if it was skipped for what is otherwise by now. An episode that is kept already changes nothing. Raises
        PeersUnknown, and keeps nothing, where it depends on agents that are no known peers.
        """
        async with self._database.session(current_tenant()) as session:
            if peers is not None:
                await take_turn(session, FAILURES_TURN)
            await take_turn(session, FAILURES_TURN, episode.agent_id)
            if await _is_kept(session, episode.episode_id):
                return None
            failure = failure_of(episode)
            found = await find_similar(session, failure, rule.window, peers)
            placement = place(failure, found.similar, rule)
            decided = placement.pattern_id is not None or bool(placement.members)
            if peers is not None and decided and (unknown := {each.agent_id for each in found.similar} - peers.allowed):
                raise PeersUnknown(frozenset(unknown))
            if not await _insert(session, episode, found.task, placement):
                return None
            if placement.pattern_id is not None:
                await self._announce_again(session, placement, episode, answering)
            if placement.answered is None:
                return None
            pattern = await _add_pattern(session, episode.agent_id, placement.answered, placement.members)
            self._outbox.add(session, pattern_detected(pattern, episode.event_id))
            return pattern

    async def _announce_again(
        self, session: AsyncSession, placement: Placement, episode: Episode, answering: Answering
    ) -> None:
        """Announce a skipped pattern that a failure joins, if it ends why it was skipped: once until it is again."""
        unanswered = FailurePatternRow.id == placement.pattern_id, FailurePatternRow.candidate_id.is_(None)
        # Examples of another task answer nothing.
        examples = () if placement.astray else episode.examples
        query = update(FailurePatternRow).where(*unanswered, _ended(examples, answering)).values(skipped_reason="")
        row = await session.scalar(query.returning(FailurePatternRow))
        if row is not None:
            (pattern,) = await _patterns(session, [row])
            self._outbox.add(session, pattern_detected(pattern, episode.event_id))

    @repeatable
    async def add_success(self, episode: Episode) -> None:
        """Keep a success. An episode that is kept already changes nothing."""
        async with self._database.session(current_tenant()) as session:
            await _insert(session, episode)

    @repeatable
    async def withdraw_success(self, episode_id: str) -> None:
        """Keep an episode no longer, if it is kept as a success."""
        async with self._database.session(current_tenant()) as session:
            success = EpisodeRow.episode_id == episode_id, EpisodeRow.outcome == Outcome.SUCCESS
            await session.execute(delete(EpisodeRow).where(*success))

    async def find_failure(self, episode_id: str) -> Episode | None:
        """A failed episode by its id."""
        async with self._database.reading(current_tenant()) as session:
            row = await session.scalar(select(EpisodeRow).where(EpisodeRow.episode_id == episode_id, _FAILED))
            return _episode(row) if row is not None else None

    async def failures_of(self, pattern_id: str) -> list[Episode]:
        """A pattern's failures but for those that are astray in it, oldest first: of very many, the latest."""
        return await self._failures(EpisodeRow.pattern_id == pattern_id, EpisodeRow.astray.is_not(True))

    async def failures_beside(self, episode: Episode) -> list[Episode]:
        """The failures of an episode's pattern that are astray in it as it is, or not, as `failures_of` gives them."""
        return await self._failures(*_beside(episode))

    async def failures_at_task(self, episode: Episode) -> list[str]:
        """The ids of those of `failures_beside` at a task like the episode's; in no pattern, it stands alone.

        Nothing else of them is read: together they may be gigabytes.
        """
        compared = func.substr(EpisodeRow.task_description, 1, COMPARED_CHARACTERS)
        which = _beside(episode) if episode.pattern_id else [EpisodeRow.episode_id == episode.episode_id]
        async with self._database.reading(current_tenant()) as session:
            rows = await session.execute(_latest(select(EpisodeRow.episode_id, compared), which))
            return [each for each, task in rows if similar_tasks(task, episode.task_description)][::-1]

    async def _failures(self, *which: ColumnElement[bool]) -> list[Episode]:
        async with self._database.reading(current_tenant()) as session:
            rows = await session.scalars(_latest(select(EpisodeRow), which))
            return [_episode(row) for row in rows][::-1]

    async def failing_programs(self, key: str, limit: int) -> list[Episode]:
        """The tenant's failures with a program at a task, latest first."""
        async with self._database.reading(current_tenant()) as session:
            rows = await session.scalars(
                select(EpisodeRow)
                .where(EpisodeRow.task_key == key, _FAILED, EpisodeRow.code != "")
                .order_by(EpisodeRow.id.desc())
                .limit(limit)
            )
            return [_episode(row) for row in rows]

    async def cases(self, task_description: str, limit: int) -> list[Episode]:
        """The tenant's successes with a program: at the same task first, then at similar ones, latest first."""
        async with self._database.reading(current_tenant()) as session:
            same = task_key(task_description)
            found = await _cases(session, [same], limit)
            if len(found) < limit:
                similar = await _similar_tasks(session, task_description)
                found += await _cases(session, [key for key in similar if key != same], limit - len(found))
            return found

    async def get_pattern(self, pattern_id: str) -> FailurePattern:
        """A pattern with its episodes. Raises NotFound."""
        async with self._database.reading(current_tenant()) as session:
            row = await session.scalar(select(FailurePatternRow).where(FailurePatternRow.id == pattern_id))
            if row is None:
                raise NotFound("failure pattern", pattern_id)
            return (await _patterns(session, [row]))[0]

    async def list_patterns(self, agent_id: str, limit: int, before_id: str | None) -> list[FailurePattern]:
        """Patterns, newest first, of those older than `before_id`; of one agent, or (empty) of all."""
        query = select(FailurePatternRow).order_by(FailurePatternRow.id.desc()).limit(limit)
        if agent_id:
            query = query.where(FailurePatternRow.agent_id == agent_id)
        if before_id is not None:
            query = query.where(FailurePatternRow.id < before_id)
        async with self._database.reading(current_tenant()) as session:
            return await _patterns(session, list(await session.scalars(query)))

    @repeatable
    async def skip_pattern(self, pattern_id: str, reason: str) -> None:
        """Note why a pattern gets no candidate, unless it has one."""
        unanswered = FailurePatternRow.id == pattern_id, FailurePatternRow.candidate_id.is_(None)
        async with self._database.session(current_tenant()) as session:
            await session.execute(update(FailurePatternRow).where(*unanswered).values(skipped_reason=reason))


def _beside(episode: Episode) -> Sequence[ColumnElement[bool]]:
    astray = EpisodeRow.astray.is_(True) if episode.astray else EpisodeRow.astray.is_not(True)
    return EpisodeRow.pattern_id == episode.pattern_id, astray


def _latest(query: Select[*Chosen], which: Sequence[ColumnElement[bool]]) -> Select[*Chosen]:
    in_time = EpisodeRow.occurred_at.desc(), EpisodeRow.id.desc()
    return query.where(*which).order_by(*in_time).limit(PATTERN_FAILURES)


def _ended(examples: Sequence[Example], answering: Answering) -> ColumnElement[bool]:
    """Patterns that were skipped for what is otherwise with a failure: it has examples, or is within the limit."""
    reason = FailurePatternRow.skipped_reason
    reasons = []
    if examples:
        reasons.append(reason == NO_EXAMPLES)
    if answering is Answering.TODAY:
        reasons.append(reason.not_in(["", NO_EXAMPLES]))
    return or_(false(), *reasons)


async def _is_kept(session: AsyncSession, episode_id: str) -> bool:
    return await session.scalar(select(EpisodeRow.id).where(EpisodeRow.episode_id == episode_id)) is not None


async def _insert(
    session: AsyncSession, episode: Episode, failure_task: int | None = None, placement: Placement | None = None
) -> bool:
    joined = placement if placement is not None and placement.pattern_id is not None else None
    return await insert_if_absent(
        session,
        EpisodeRow,
        id=uuid7(),
        episode_id=episode.episode_id,
        event_id=episode.event_id,
        agent_id=episode.agent_id,
        outcome=episode.outcome,
        task_description=episode.task_description,
        task_key=episode.task_key,
        error_trace=episode.error_trace,
        error_signature=episode.error_signature,
        code=episode.code,
        preamble=episode.preamble,
        examples=EXAMPLES.dump(episode.examples),
        tool_calls=TOOL_CALLS.dump(episode.tool_calls),
        segments=SEGMENTS.dump(episode.segments),
        occurred_at=episode.occurred_at,
        pattern_id=joined.pattern_id if joined else None,
        astray=joined.astray if joined else None,
        failure_task=failure_task,
        signature_key=(signature_key(episode.error_signature) or None) if failure_task is not None else None,
    )


async def _join(session: AsyncSession, pattern_id: str, members: Sequence[Failure]) -> None:
    for astray in (False, True):
        if episode_ids := [each.episode_id for each in members if each.astray is astray]:
            these = update(EpisodeRow).where(EpisodeRow.episode_id.in_(episode_ids))
            await session.execute(these.values(pattern_id=pattern_id, astray=astray))


async def _add_pattern(
    session: AsyncSession, agent_id: str, answered: Failure, members: Sequence[Failure]
) -> FailurePattern:
    columns = EpisodeRow.error_signature, EpisodeRow.task_description
    source = (await session.execute(select(*columns).where(EpisodeRow.episode_id == answered.episode_id))).one()
    pattern = FailurePattern(
        id=uuid7(),
        agent_id=agent_id,
        error_signature=source.error_signature,
        task_description=source.task_description,
        episode_ids=tuple(each.episode_id for each in members),
        detected_at=now(),
        failures=len(members),
        agent_ids=tuple(sorted({each.agent_id for each in members})),
    )
    session.add(
        FailurePatternRow(
            id=pattern.id,
            agent_id=agent_id,
            first_episode_id=answered.episode_id,
            error_signature=pattern.error_signature,
            task_description=pattern.task_description,
            detected_at=pattern.detected_at,
        )
    )
    await _join(session, pattern.id, members)
    return pattern


async def _similar_tasks(session: AsyncSession, task_description: str) -> list[str]:
    newest = func.max(EpisodeRow.id)
    tasks = await session.execute(
        select(EpisodeRow.task_key, func.max(EpisodeRow.task_description))
        .where(EpisodeRow.outcome == Outcome.SUCCESS)
        .group_by(EpisodeRow.task_key)
        .order_by(newest.desc())
        .limit(COMPARED_TASKS)
    )
    return [key for key, description in tasks if similar_tasks(description, task_description)]


async def _cases(session: AsyncSession, keys: Sequence[str], limit: int) -> list[Episode]:
    rows = await session.scalars(
        select(EpisodeRow)
        .where(EpisodeRow.task_key.in_(keys), EpisodeRow.outcome == Outcome.SUCCESS, EpisodeRow.code != "")
        .order_by(EpisodeRow.id.desc())
        .limit(limit)
    )
    return [_episode(row) for row in rows]


async def _patterns(session: AsyncSession, rows: Sequence[FailurePatternRow]) -> list[FailurePattern]:
    ids = [row.id for row in rows]
    counted = await session.execute(
        select(EpisodeRow.pattern_id, func.count(EpisodeRow.id).label("failures"))
        .where(EpisodeRow.pattern_id.in_(ids))
        .group_by(EpisodeRow.pattern_id)
    )
    counts = {row.pattern_id: row.failures for row in counted}
    members = await _members(session, ids)
    return [_pattern(row, members[row.id], counts.get(row.id, 0)) for row in rows]


async def _members(session: AsyncSession, pattern_ids: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
    """The first failures of patterns, oldest first, each by its episode's id and its agent's."""
    in_time = (EpisodeRow.occurred_at, EpisodeRow.id)
    placed = (
        select(
            EpisodeRow.id,
            func.row_number().over(partition_by=EpisodeRow.pattern_id, order_by=in_time).label("place"),
        )
        .where(EpisodeRow.pattern_id.in_(pattern_ids))
        .subquery()
    )
    rows = await session.execute(
        select(EpisodeRow.pattern_id, EpisodeRow.episode_id, EpisodeRow.agent_id)
        .join(placed, placed.c.id == EpisodeRow.id)
        .where(placed.c.place <= PATTERN_FAILURES)
        .order_by(*in_time)
    )
    found: dict[str, list[tuple[str, str]]] = {pattern_id: [] for pattern_id in pattern_ids}
    for row in rows:
        found[row.pattern_id].append((row.episode_id, row.agent_id))
    return found


def _pattern(row: FailurePatternRow, members: Sequence[tuple[str, str]], failures: int) -> FailurePattern:
    return FailurePattern(
        id=row.id,
        agent_id=row.agent_id,
        error_signature=row.error_signature,
        task_description=row.task_description,
        episode_ids=tuple(episode_id for episode_id, _ in members),
        detected_at=row.detected_at,
        candidate_id=row.candidate_id,
        skipped_reason=row.skipped_reason,
        failures=failures,
        agent_ids=tuple(sorted({agent_id for _, agent_id in members})),
    )


def _episode(row: EpisodeRow) -> Episode:
    return Episode(
        episode_id=row.episode_id,
        event_id=row.event_id,
        agent_id=row.agent_id,
        outcome=Outcome(row.outcome),
        task_description=row.task_description,
        error_trace=row.error_trace,
        error_signature=row.error_signature,
        code=row.code,
        preamble=row.preamble,
        examples=EXAMPLES.load(row.examples),
        tool_calls=TOOL_CALLS.load(row.tool_calls),
        segments=SEGMENTS.load(row.segments),
        occurred_at=row.occurred_at,
        pattern_id=row.pattern_id,
        astray=row.astray,
    )
