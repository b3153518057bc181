"""The figures that the advisor goes by."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from statistics import median
from typing import Any

from sqlalchemy import ColumnElement, func, literal_column, select
from sqlalchemy.ext.asyncio import AsyncSession

from autodev_learning.advisor import TREND_DAYS, Day, Figures
from autodev_learning.evolution.mutations import Outcome, SandboxStatus
from autodev_learning.proof.agreement import Overfit
from autodev_learning.rows import OpportunityRow, SkillCandidateRow, SkillExecutionRow, ToolMutationRow
from autodev_runtime.columns import now
from autodev_runtime.database import Database, dialect_of
from autodev_runtime.identity import current_tenant

LATEST_RUNS = 1000
LATEST_MUTATIONS = 200
FRUITFUL = (Outcome.IN_REVIEW, Outcome.CANARY, Outcome.PROMOTED)


class AdvisorStore:
    """Every method is about the current tenant."""

    def __init__(self, database: Database, clock: Callable[[], datetime] = now) -> None:
        self._database = database
        self._clock = clock

    async def figures(self, skill_id: str) -> Figures:
        """The figures of a skill, by id, or of the whole tenant (empty).

        Counts are of all; medians, trends and what comes in a row are of the latest.
        """
        async with self._database.reading(current_tenant()) as session:
            runs = await _runs(session, skill_id)
            mutations = await _mutations(session, skill_id)
            candidates, overfit_candidates, candidate_tokens = await _candidates(session, skill_id)
            fruitless = await _fruitless_in_a_row(session, skill_id)
            waiting = select(func.count()).where(
                OpportunityRow.started_by == "", *_of_skill(OpportunityRow.skill_id, skill_id)
            )
            opportunities = await session.scalar(waiting) or 0
            trend = await _trend(session, skill_id, self._clock() - timedelta(days=TREND_DAYS - 1))
        made, passed, promoted, in_review, overfit_mutations, mutation_tokens = mutations
        executions, failed, tokens, seconds = runs
        return Figures(
            executions=executions,
            failed_executions=failed,
            median_execution_seconds=seconds,
            tokens=tokens,
            mutations=made,
            passed_mutations=passed,
            promoted_mutations=promoted,
            waiting_mutations=in_review,
            fruitless_in_a_row=fruitless,
            candidates=candidates,
            overfit_candidates=overfit_candidates,
            overfit_mutations=overfit_mutations,
            proposal_tokens=mutation_tokens + candidate_tokens,
            open_opportunities=opportunities,
            trend=trend,
        )


def _of_skill(column: "ColumnElement[str] | object", skill_id: str) -> tuple[ColumnElement[bool], ...]:
    return (column == skill_id,) if skill_id else ()  # type: ignore[return-value]


async def _runs(session: AsyncSession, skill_id: str) -> tuple[int, int, int, float]:
    """Runs, those that failed, their tokens, and the median of the latest runs' seconds."""
    mine = _of_skill(SkillExecutionRow.skill_id, skill_id)
    query = select(
        func.count(),
        func.count().filter(SkillExecutionRow.success.is_(False)),
        func.coalesce(func.sum(SkillExecutionRow.token_usage), 0),
    ).where(*mine)
    total, failed, tokens = (await session.execute(query.select_from(SkillExecutionRow))).one()
    latest = select(SkillExecutionRow.execution_seconds).where(*mine)
    seconds = list(await session.scalars(latest.order_by(SkillExecutionRow.id.desc()).limit(LATEST_RUNS)))
    # PostgreSQL adds large integers up to a number of any size, a Decimal.
    return total, failed, int(tokens), median(seconds) if seconds else 0.0


async def _trend(session: AsyncSession, skill_id: str, since: datetime) -> tuple[Day, ...]:
    """Each UTC day with runs or scored candidates, from the day of `since` on, oldest first."""
    start = since.replace(hour=0, minute=0, second=0, microsecond=0)
    ran, made = _day_of(session, SkillExecutionRow.created_at), _day_of(session, SkillCandidateRow.validated_at)
    runs = (
        select(
            ran,
            func.count(),
            func.count().filter(SkillExecutionRow.success.is_(True)),
            func.avg(SkillExecutionRow.execution_seconds),
            func.coalesce(func.sum(SkillExecutionRow.token_usage), 0),
        )
        .where(SkillExecutionRow.created_at >= start, *_of_skill(SkillExecutionRow.skill_id, skill_id))
        .group_by(ran)
    )
    scores = (
        select(made, func.count(), func.avg(SkillCandidateRow.fitness_score))
        .where(SkillCandidateRow.validated_at >= start, *_of_skill(SkillCandidateRow.skill_id, skill_id))
        .group_by(made)
    )
    days = {
        day: Day(day, count, good, float(seconds), int(tokens))
        for day, count, good, seconds, tokens in await session.execute(runs)
    }
    for day, count, score in await session.execute(scores):
        days[day] = replace(days.get(day, Day(day)), scored=count, mean_score=float(score or 0.0))
    return tuple(days[day] for day in sorted(days))


def _day_of(session: AsyncSession, moment: Any) -> ColumnElement[str]:
    """The UTC day of a moment, as text. The format is literal: PostgreSQL takes two parameters for two formats."""
    if dialect_of(session).is_sqlite:
        return func.strftime(literal_column("'%Y-%m-%d'"), moment)
    return func.to_char(func.timezone(literal_column("'UTC'"), moment), literal_column("'YYYY-MM-DD'"))


async def _mutations(session: AsyncSession, skill_id: str) -> Sequence[int]:
    """Mutations; those that passed, were promoted, wait for a person, and overfit; and what writing all took."""
    query = select(
        func.count(),
        func.count().filter(ToolMutationRow.sandbox_status == SandboxStatus.PASSED),
        func.count().filter(ToolMutationRow.outcome == Outcome.PROMOTED),
        func.count().filter(ToolMutationRow.outcome == Outcome.IN_REVIEW),
        func.count().filter(ToolMutationRow.overfit == Overfit.FOUND),
        _tokens(ToolMutationRow.provenance),
    ).where(*_of_skill(ToolMutationRow.skill_id, skill_id))
    return (await session.execute(query.select_from(ToolMutationRow))).one()


async def _candidates(session: AsyncSession, skill_id: str) -> Sequence[int]:
    """Candidates; those that overfit; and what writing all took."""
    query = select(
        func.count(),
        func.count().filter(SkillCandidateRow.overfit == Overfit.FOUND),
        _tokens(SkillCandidateRow.provenance),
    ).where(*_of_skill(SkillCandidateRow.skill_id, skill_id))
    return (await session.execute(query.select_from(SkillCandidateRow))).one()


def _tokens(provenance: Any) -> ColumnElement[int]:
    return func.coalesce(func.sum(provenance["tokens"].as_integer()), 0)


async def _fruitless_in_a_row(session: AsyncSession, skill_id: str) -> int:
    """How many of the latest mutations brought nothing, since the last that did; those still open say nothing yet."""
    query = (
        select(ToolMutationRow.outcome)
        .where(*_of_skill(ToolMutationRow.skill_id, skill_id), ToolMutationRow.outcome != Outcome.OPEN)
        .order_by(ToolMutationRow.id.desc())
        .limit(LATEST_MUTATIONS)
    )
    decided = list(await session.scalars(query))
    return next((index for index, outcome in enumerate(decided) if outcome in FRUITFUL), len(decided))
