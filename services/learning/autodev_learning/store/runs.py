"""Runs of skills that this service made."""

from typing import Any

from sqlalchemy import CursorResult, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from autodev_learning.memento.announcements import skill_executed
from autodev_learning.rows import SkillExecutionRow
from autodev_learning.skills.runs import Run
from autodev_learning.store.shapes import Json
from autodev_runtime.columns import insert_if_absent, now
from autodev_runtime.database import Database
from autodev_runtime.identity import current_tenant
from autodev_runtime.outbox import Outbox
from autodev_runtime.repeating import repeatable
from autodev_sdk.events import uuid7

RUN: Json[Run] = Json(Run)


class RunStore:
    """Every method is about the current tenant."""

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._database = database
        self._outbox = outbox

    async def find(self, execution_id: str) -> Run | None:
        """The run of a request that was made before."""
        async with self._database.reading(current_tenant()) as session:
            stored = await session.scalar(
                select(SkillExecutionRow.response).where(SkillExecutionRow.execution_id == execution_id)
            )
            return RUN.load(stored) if stored is not None else None

    @repeatable
    async def add(self, run: Run, request_id: str, version_shown: str) -> Run:
        """Write a run and announce it; the first one of its request wins, and is given back.

        It counts in trials as one of `version_shown`; of none where that is empty.
        """
        row = {
            "id": uuid7(),
            "execution_id": run.execution_id,
            "request_id": request_id,
            "skill_id": run.skill_id,
            "skill_version": version_shown,
            "agent_id": run.agent_id,
            "call": run.call,
            "success": run.success,
            "execution_seconds": run.execution_seconds,
            "response": RUN.dump(run),
        }
        async with self._database.session(current_tenant()) as session:
            written = await insert_if_absent(session, SkillExecutionRow, **row) or await _replace_report(session, row)
            if written:
                self._outbox.add(session, skill_executed(run))
        return run if written else (await self.find(run.execution_id) or run)


async def _replace_report(session: AsyncSession, row: dict[str, Any]) -> bool:
    """Write the run over a report that has its id: whoever knows a request's id can make such a one beforehand."""
    result = await session.execute(
        update(SkillExecutionRow)
        .where(SkillExecutionRow.execution_id == row["execution_id"], SkillExecutionRow.request_id.is_(None))
        .values(**row, expected="", token_usage=0, created_at=now())
    )
    assert isinstance(result, CursorResult)
    return result.rowcount == 1
