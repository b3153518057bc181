"""Runs of skills, the inputs they tell, and opportunities."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from autodev_learning.evolution.announcements import optimization_triggered
from autodev_learning.evolution.comparison import KnownInput
from autodev_learning.evolution.opportunities import (
    BACKGROUND,
    Opportunity,
    SkillRun,
    Start,
    Trigger,
    no_longer_in_use,
)
from autodev_learning.examples import Example, call_key, is_plain_call, matches, split_held_out
from autodev_learning.proof.suites import Source
from autodev_learning.rows import OpportunityRow, SkillExecutionRow, SkillRow
from autodev_learning.skills.registry import Skill, SkillVersion
from autodev_learning.store.skills import load_skill
from autodev_learning.store.suites import Addition, grow_suite, held_out_among
from autodev_runtime.columns import insert_if_absent, now
from autodev_runtime.database import Database
from autodev_runtime.errors import FailedPrecondition, NotFound
from autodev_runtime.identity import current_tenant
from autodev_runtime.outbox import Outbox
from autodev_runtime.repeating import repeatable
from autodev_sdk.events import uuid7


class EvolutionStore:
    """Every method is about the current tenant. The latest `recorded_inputs` calls of runs are known inputs."""

    def __init__(self, database: Database, outbox: Outbox, recorded_inputs: int) -> None:
        self._database = database
        self._outbox = outbox
        self._recorded_inputs = recorded_inputs

    async def skill(self, id_or_name: str) -> Skill | None:
        """The tenant's skill, if it is one."""
        async with self._database.reading(current_tenant()) as session:
            try:
                return await load_skill(session, id_or_name)
            except NotFound:
                return None

    @repeatable
    async def keep_run(
        self, run: SkillRun, skill: Skill, starts: Mapping[Trigger, Start], limit: str, caused_by: str
    ) -> None:
        """Write a run, and the opportunities that it shows of the active version; announce those that start. Once.

        One that names no version is taken as the active version's, and counts in no trial: nobody vouches for it.
        """
        async with self._database.session(current_tenant()) as session:
            await _add_run(session, run, skill.id)
            if run.skill_version not in ("", skill.active.version):
                return
            await grow_suite(session, skill.id, _good_call(run, skill.active.entry_points))
            for trigger, start in starts.items():
                await self._add_opportunity(session, run, skill, trigger, start, limit, caused_by)

    async def opportunity(self, opportunity_id: str) -> Opportunity | None:
        """An opportunity by its id."""
        async with self._database.reading(current_tenant()) as session:
            row = await session.scalar(select(OpportunityRow).where(OpportunityRow.id == opportunity_id))
            return opportunity_from_row(row) if row is not None else None

    async def page(self, limit: int, before_id: str | None) -> list[Opportunity]:
        """Opportunities, newest first, of those older than `before_id`."""
        query = select(OpportunityRow).order_by(OpportunityRow.id.desc()).limit(limit)
        if before_id is not None:
            query = query.where(OpportunityRow.id < before_id)
        async with self._database.reading(current_tenant()) as session:
            return [opportunity_from_row(row) for row in await session.scalars(query)]

    @repeatable
    async def start(self, opportunity_id: str, started_by: str) -> Opportunity:
        """Start an opportunity and announce it, unless it is under way.

        Raises NotFound, FailedPrecondition (VERSION_NOT_ACTIVE).
        """
        async with self._database.session(current_tenant()) as session:
            query = select(OpportunityRow).where(OpportunityRow.id == opportunity_id).with_for_update()
            row = await session.scalar(query)
            if row is None:
                raise NotFound("opportunity", opportunity_id)
            if row.mutation_id is None and not opportunity_from_row(row).under_way:
                active = await session.scalar(select(SkillRow.active_version).where(SkillRow.id == row.skill_id))
                if fault := no_longer_in_use(row.skill_version, active or ""):
                    raise FailedPrecondition(fault, reason="VERSION_NOT_ACTIVE")
                self._start(session, row, started_by, "")
            return opportunity_from_row(row)

    @repeatable
    async def skip(self, opportunity_id: str, reason: str) -> None:
        """Keep why nothing comes of an opportunity."""
        async with self._database.session(current_tenant()) as session:
            await session.execute(
                update(OpportunityRow)
                .where(OpportunityRow.id == opportunity_id, OpportunityRow.mutation_id.is_(None))
                .values(skipped_reason=reason)
            )

    async def known_inputs(self, skill_id: str, version: SkillVersion) -> tuple[KnownInput, ...]:
        """What the skill is known to get: the version's examples, then the latest distinct calls of its runs.

        What was held out from a proposer that wrote for the skill stays so, however an agent writes the call.
        """
        _, held_out = split_held_out(version.examples)
        hidden = {id(example) for example in held_out}
        known = {
            call_key(example.call): KnownInput(example.call, example.expected, held_out=id(example) in hidden)
            for example in version.examples
        }
        latest = func.max(SkillExecutionRow.id)
        query = (
            select(SkillExecutionRow.call, func.max(SkillExecutionRow.expected))
            .where(SkillExecutionRow.skill_id == skill_id, SkillExecutionRow.call != "")
            .group_by(SkillExecutionRow.call)
            .order_by(latest.desc())
            .limit(self._recorded_inputs)
        )
        async with self._database.reading(current_tenant()) as session:
            recorded = {call: expected or "" for call, expected in await session.execute(query)}
            secret = await held_out_among(session, skill_id, recorded)
        for call, expected in recorded.items():
            seen = known.setdefault(call_key(call), KnownInput(call, expected, held_out=call in secret))
            if expected and not seen.expected:
                known[call_key(call)] = replace(seen, expected=expected)
        return tuple(known.values())

    async def _add_opportunity(
        self,
        session: AsyncSession,
        run: SkillRun,
        skill: Skill,
        trigger: Trigger,
        start: Start,
        limit: str,
        caused_by: str,
    ) -> None:
        if start is Start.NOTHING:
            return
        key = {"skill_id": skill.id, "skill_version": skill.active.version, "trigger": trigger.value}
        shown = {"agent_id": run.agent_id, "execution_id": run.execution_id}
        await insert_if_absent(session, OpportunityRow, id=uuid7(), skill_name=skill.name, **key, **shown)
        query = select(OpportunityRow).filter_by(**key).with_for_update()
        row = (await session.scalars(query)).one()
        if row.mutation_id is not None or start is Start.WAITS:
            return
        if start is Start.LIMITED:
            row.skipped_reason = row.skipped_reason or ("" if row.started_by else limit)
        elif not opportunity_from_row(row).under_way:
            # An autonomous agent may have shown again what waited for a person: it is started in that agent's name.
            row.agent_id, row.execution_id = run.agent_id, run.execution_id
            self._start(session, row, BACKGROUND, caused_by)

    def _start(self, session: AsyncSession, row: OpportunityRow, started_by: str, caused_by: str) -> None:
        if opportunity_from_row(row).under_way:
            return
        row.started_by, row.skipped_reason = started_by, ""
        self._outbox.add(session, optimization_triggered(opportunity_from_row(row), caused_by))


async def _add_run(session: AsyncSession, run: SkillRun, skill_id: str) -> None:
    """Write the run; of one that ExecuteSkill or an earlier event did, what it must give, if that is not known yet."""
    inserted = await insert_if_absent(
        session,
        SkillExecutionRow,
        id=uuid7(),
        execution_id=run.execution_id,
        skill_id=skill_id,
        skill_version=run.skill_version,
        agent_id=run.agent_id,
        call=run.call,
        expected=run.expected,
        success=run.success,
        execution_seconds=run.seconds,
        token_usage=run.tokens,
        created_at=now(),
    )
    if not inserted and run.expected:
        await session.execute(
            update(SkillExecutionRow)
            .where(
                SkillExecutionRow.execution_id == run.execution_id,
                SkillExecutionRow.call == run.call,
                SkillExecutionRow.expected == "",
            )
            .values(expected=run.expected)
        )


def _good_call(run: SkillRun, entry_points: Sequence[str]) -> list[Addition]:
    """The run as a member of its skill's suite, where it gave what its runtime knew to be right."""
    if not (run.success and run.expected and matches(run.output, run.expected)):
        return []
    if not is_plain_call(run.call, entry_points):
        return []
    return [Addition(Example(run.call, run.expected), Source.RUN, run.execution_id)]


def opportunity_from_row(row: OpportunityRow) -> Opportunity:
    """The opportunity that a row holds."""
    return Opportunity(
        id=row.id,
        skill_id=row.skill_id,
        skill_version=row.skill_version,
        skill_name=row.skill_name,
        agent_id=row.agent_id,
        trigger=Trigger(row.trigger),
        execution_id=row.execution_id,
        started_by=row.started_by,
        mutation_id=row.mutation_id or "",
        skipped_reason=row.skipped_reason,
        created_at=row.created_at,
    )
