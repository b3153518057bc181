"""Episodes and runs of all tenants that are not needed any more.

What is told later goes on as if all were there, but for failures that made no pattern by then:

- of the failures of a pattern with the same agent, error and task, the latest stays, by which the next one finds the
  pattern; so do the one that a pattern is answered for, and what a candidate is made of;
- those that are astray in a pattern go, as they wait for others at their task, like those that are in none;
- of the programs that worked at a task, the latest stays;
- of a skill with a version on trial, all runs stay.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import ColumnElement, and_, delete, exists, or_, select
from sqlalchemy.orm import aliased

from autodev_learning.memento.reflection import Outcome
from autodev_learning.rows import EpisodeRow, FailurePatternRow, SkillCandidateRow, SkillExecutionRow, SkillRow
from autodev_learning.store.failures import FAILURES_TURN
from autodev_learning.store.task_index import drop_entries, marks, numbers
from autodev_learning.store.turns import take_turn
from autodev_runtime.database import Database, done_within
from autodev_runtime.identity import ALL_TENANTS
from autodev_runtime.repeating import repeatable
from autodev_runtime.scripts import Script, Statement

AT_ONCE = 500

_UNUSED_TASKS = """
SELECT id, agent_id, CAST(words AS text) FROM failure_tasks WHERE tenant_id = $1 AND id IN ({tasks})
AND NOT EXISTS (SELECT 1 FROM episodes WHERE tenant_id = $1 AND failure_task = failure_tasks.id)"""
_DROP_TASK = "DELETE FROM failure_tasks WHERE tenant_id = $1 AND id = $2"


class Doomed(NamedTuple):
    """An episode that can go, with its task in the index of failures, if it has one."""

    id: str
    tenant: str
    agent_id: str
    failure_task: int | None


class Past:
    """What came before an id of the time (`first_uuid7`)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @repeatable
    async def forget_runs(self, before: str) -> int:
        """Forget some runs. Returns how many; 0: there are no more."""
        on_trial = exists().where(
            SkillRow.tenant_id == SkillExecutionRow.tenant_id,
            SkillRow.id == SkillExecutionRow.skill_id,
            SkillRow.canary_version.is_not(None),
        )
        some = select(SkillExecutionRow.id).where(SkillExecutionRow.id < before, ~on_trial).limit(AT_ONCE)
        async with self._database.across_tenants() as session:
            connection = await session.connection()
            gone = delete(SkillExecutionRow).where(SkillExecutionRow.id.in_(some))
            return (await connection.execute(gone)).rowcount

    @repeatable
    async def doomed(self, after: str, before: str) -> Sequence[Doomed]:
        """The first episodes between two ids that can go, oldest first."""
        columns = (EpisodeRow.id, EpisodeRow.tenant_id, EpisodeRow.agent_id, EpisodeRow.failure_task)
        between = (EpisodeRow.id > after, EpisodeRow.id < before)
        query = select(*columns).where(*between, _needless()).order_by(EpisodeRow.id).limit(AT_ONCE)
        async with self._database.connection(ALL_TENANTS) as connection:
            return [Doomed(*row) for row in await connection.execute(query)]

    async def forget(self, doomed: Sequence[Doomed]) -> None:
        """Forget those of the episodes that can still go."""
        of_agents: dict[tuple[str, str], list[Doomed]] = defaultdict(list)
        for each in doomed:
            of_agents[each.tenant, each.agent_id].append(each)
        for (tenant, agent_id), some in of_agents.items():
            await self._forget(tenant, agent_id, some)

    @repeatable
    async def _forget(self, tenant: str, agent_id: str, doomed: Sequence[Doomed]) -> None:
        async with self._database.session(tenant) as session:
            # No failure is being placed among these meanwhile, nor finds its task in the index.
            await take_turn(session, FAILURES_TURN)
            await take_turn(session, FAILURES_TURN, agent_id)
            ids = [each.id for each in doomed]
            await session.execute(delete(EpisodeRow).where(EpisodeRow.id.in_(ids), _needless()))
            if tasks := sorted({each.failure_task for each in doomed if each.failure_task is not None}):
                await done_within(session, _dropped(tenant, tasks))


def _needless() -> ColumnElement[bool]:
    later = aliased(EpisodeRow)
    same = later.tenant_id == EpisodeRow.tenant_id, later.id > EpisodeRow.id
    superseded = exists().where(
        *same,
        later.pattern_id == EpisodeRow.pattern_id,
        later.agent_id == EpisodeRow.agent_id,
        later.failure_task == EpisodeRow.failure_task,
        later.signature_key.is_not_distinct_from(EpisodeRow.signature_key),
    )
    first = exists().where(
        FailurePatternRow.tenant_id == EpisodeRow.tenant_id,
        FailurePatternRow.id == EpisodeRow.pattern_id,
        FailurePatternRow.first_episode_id == EpisodeRow.episode_id,
    )
    source = exists().where(
        SkillCandidateRow.tenant_id == EpisodeRow.tenant_id,
        SkillCandidateRow.source_episode_id == EpisodeRow.episode_id,
    )
    outlived = exists().where(
        *same, later.task_key == EpisodeRow.task_key, later.outcome == Outcome.SUCCESS, later.code != ""
    )
    failed = and_(
        EpisodeRow.outcome != Outcome.SUCCESS,
        ~source,
        or_(EpisodeRow.pattern_id.is_(None), EpisodeRow.astray.is_(True), and_(superseded, ~first)),
    )
    return or_(failed, and_(EpisodeRow.outcome == Outcome.SUCCESS, or_(EpisodeRow.code == "", outlived)))


def _dropped(tenant: str, tasks: Sequence[int]) -> Script[None]:
    """Take tasks that no failure has any more out of the index."""
    unused = yield Statement(_UNUSED_TASKS.format(tasks=marks(2, len(tasks))), (tenant, *tasks))
    for task, agent_id, words in unused:
        ordered = yield from numbers(tenant, json.loads(words))
        yield from drop_entries(tenant, agent_id, task, ordered)
        yield Statement(_DROP_TASK, (tenant, task))
