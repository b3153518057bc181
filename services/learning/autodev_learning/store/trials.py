"""The runs of a version on trial and of the active one, counted from the rows: any replica counts the same."""

from dataclasses import dataclass
from statistics import median

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from autodev_learning.evolution.canary_rule import Arm, Look
from autodev_learning.rows import SkillExecutionRow, SkillVersionRow
from autodev_runtime.database import Database
from autodev_runtime.identity import current_tenant

RUNS_BEFORE = 50
"""Of the active version, from before the trial: what it is known to do."""
MOST_RUNS = 5000
LATEST = 200


@dataclass(frozen=True)
class TrialFigures:
    """Both versions now and at each look that was reached; the medians of their latest runs' seconds during the trial.

    `stable_live`: the active version's runs since the trial began; `now.stable` has some from before, too.
    """

    now: Look
    looks: tuple[Look, ...]
    stable_live: Arm
    canary_seconds: float
    stable_seconds: float


@dataclass(frozen=True)
class _Run:
    id: str
    success: bool
    seconds: float


class TrialStore:
    """Every method is about the current tenant."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def figures(self, skill_id: str, canary: str, stable: str, looks: tuple[int, ...]) -> TrialFigures:
        """Count a trial's runs, in the order in which they were written."""
        async with self._database.reading(current_tenant()) as session:
            started = await session.scalar(
                select(SkillVersionRow.id).where(
                    SkillVersionRow.skill_id == skill_id, SkillVersionRow.version == canary
                )
            )
            mine = await _runs(session, skill_id, canary, after=started or "")
            live = await _runs(session, skill_id, stable, after=started or "")
            before = await _runs_before(session, skill_id, stable, started or "")
        reached = [mine[:runs] for runs in looks if runs <= len(mine)]
        return TrialFigures(
            now=Look(_arm(mine), _arm([*before, *live])),
            looks=tuple(
                Look(_arm(part), _arm([*before, *(run for run in live if run.id < part[-1].id)])) for part in reached
            ),
            stable_live=_arm(live),
            canary_seconds=_median(mine),
            stable_seconds=_median(live),
        )


def _arm(runs: list[_Run]) -> Arm:
    return Arm(len(runs), sum(not run.success for run in runs))


def _median(runs: list[_Run]) -> float:
    return median(run.seconds for run in runs[-LATEST:]) if runs else 0.0


async def _runs(session: AsyncSession, skill_id: str, version: str, after: str) -> list[_Run]:
    query = select(SkillExecutionRow.id, SkillExecutionRow.success, SkillExecutionRow.execution_seconds).where(
        SkillExecutionRow.skill_id == skill_id,
        SkillExecutionRow.skill_version == version,
        SkillExecutionRow.id > after,
    )
    rows = await session.execute(query.order_by(SkillExecutionRow.id).limit(MOST_RUNS))
    return [_Run(*row) for row in rows]


async def _runs_before(session: AsyncSession, skill_id: str, version: str, started: str) -> list[_Run]:
    query = select(SkillExecutionRow.id, SkillExecutionRow.success, SkillExecutionRow.execution_seconds).where(
        SkillExecutionRow.skill_id == skill_id,
        SkillExecutionRow.skill_version == version,
        SkillExecutionRow.id < started,
    )
    rows = await session.execute(query.order_by(SkillExecutionRow.id.desc()).limit(RUNS_BEFORE))
    return [_Run(*row) for row in rows]
