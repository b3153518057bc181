"""The figures that the advisor goes by."""

from collections.abc import Callable
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
from autodev_learning.skills.provenance import Provenance
from autodev_learning.store.candidates import PROVENANCE
from autodev_runtime.columns import now
from autodev_runtime.database import Database, dialect_of
from autodev_runtime.identity import current_tenant

LATEST_RUNS = 1000
LATEST_MUTATIONS = 200
LATEST_CANDIDATES = 200
FRUITFUL = (Outcome.IN_REVIEW, Outcome.CANARY, Outcome.PROMOTED)


class AdvisorStore:
    """Every method is about the current tenant."""

    def __init__(self, database: Database, clock: Callable[[], datetime] = now) -> None:
        self._database = database
        self._clock = clock

    async def figures(self, skill_id: str) -> Figures:
        """The figures of a skill, by id, or of the whole tenant (empty).

        Counts of runs and mutations are of all; medians, trends and candidates are of the latest.
        """
        async with self._database.reading(current_tenant()) as session:
            runs = await _runs(session, skill_id)
            mutations = await _mutations(session, skill_id)
            overfit, spent = await _candidates(session, skill_id)
            waiting = select(func.count()).where(
                OpportunityRow.started_by == "", *_of_skill(OpportunityRow.skill_id, skill_id)
            )
            opportunities = await session.scalar(waiting) or 0
            trend = await _trend(session, skill_id, self._clock() - timedelta(days=TREND_DAYS - 1))
        latest = [outcome for outcome, *_ in mutations]
        provenances = [*spent, *(PROVENANCE.load(stored) for *_, stored in mutations)]
        executions, failed, tokens, seconds = runs
        return Figures(
            executions=executions,
            failed_executions=failed,
            median_execution_seconds=seconds,
            tokens=tokens,
            mutations=len(mutations),
            passed_mutations=sum(status == SandboxStatus.PASSED for _, status, *_ in mutations),
            promoted_mutations=latest.count(Outcome.PROMOTED),
            waiting_mutations=latest.count(Outcome.IN_REVIEW),
            fruitless_in_a_row=_fruitless(latest),
            candidates=len(spent),
            overfit_candidates=overfit,
            overfit_mutations=sum(mark == Overfit.FOUND for _, _, mark, _ in mutations),
            proposal_tokens=sum(each.tokens for each in provenances),
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


async def _mutations(session: AsyncSession, skill_id: str) -> list[tuple[str, str, str, dict[str, object]]]:
    """Outcome, sandbox status, mark of overfitting and provenance of the latest mutations, newest first."""
    query = (
        select(
            ToolMutationRow.outcome, ToolMutationRow.sandbox_status, ToolMutationRow.overfit, ToolMutationRow.provenance
        )
        .where(*_of_skill(ToolMutationRow.skill_id, skill_id))
        .order_by(ToolMutationRow.id.desc())
        .limit(LATEST_MUTATIONS)
    )
    return [(outcome, status, mark, stored) for outcome, status, mark, stored in await session.execute(query)]


async def _candidates(session: AsyncSession, skill_id: str) -> tuple[int, list[Provenance]]:
    """How many of the latest candidates overfit, and where all of the latest came from."""
    query = (
        select(SkillCandidateRow.overfit, SkillCandidateRow.provenance)
        .where(*_of_skill(SkillCandidateRow.skill_id, skill_id))
        .order_by(SkillCandidateRow.id.desc())
        .limit(LATEST_CANDIDATES)
    )
    rows = list(await session.execute(query))
    return sum(mark == Overfit.FOUND for mark, _ in rows), [PROVENANCE.load(stored) for _, stored in rows]


def _fruitless(outcomes: list[str]) -> int:
    """How many of the latest brought nothing, since the last that did; those still open say nothing yet."""
    decided = [outcome for outcome in outcomes if outcome != Outcome.OPEN]
    return next((index for index, outcome in enumerate(decided) if outcome in FRUITFUL), len(decided))
