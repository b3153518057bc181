"""Ending trials without their version being used: whoever ends one, it is recorded, announced and counted."""

from sqlalchemy import event as hooks
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from autodev.gateway.v1.event_pb2 import Event
from autodev_learning import metrics
from autodev_learning.evolution.mutations import Outcome, TrialEnd
from autodev_learning.memento.announcements import By, skill_rolled_back
from autodev_learning.rows import SkillRollbackRow, SkillRow, ToolMutationRow
from autodev_learning.store.threads import thread_of
from autodev_runtime.outbox import Outbox

CANARY_OPERATOR = "canary"
"""Who rolls a version on trial back that no person rolled back."""


async def end_trial(session: AsyncSession, outbox: Outbox, skill_id: str, end: TrialEnd) -> None:
    """End the skill's trial within the caller's transaction, if it has one; its mutation is discarded.

    The caller holds the turn of skills.
    """
    query = select(ToolMutationRow).where(ToolMutationRow.skill_id == skill_id)
    mutation = await session.scalar(query.where(ToolMutationRow.outcome == Outcome.CANARY))
    if mutation is None:
        return
    skill = (await session.scalars(select(SkillRow).where(SkillRow.id == skill_id))).one()
    session.add(_record(skill, mutation, end))
    outbox.add(session, _announcement(skill, mutation, end, await thread_of(session, mutation.id)))
    # Not before the commit: a transaction that is undone and done again ends one trial.
    hooks.listen(session.sync_session, "after_commit", lambda _: metrics.TRIALS.labels(end.result).inc(), once=True)
    mutation.outcome, mutation.outcome_reason = Outcome.DISCARDED, end.reason
    skill.canary_version = skill.canary_share = None


def _record(skill: SkillRow, mutation: ToolMutationRow, end: TrialEnd) -> SkillRollbackRow:
    return SkillRollbackRow(
        request_id=f"trial:{mutation.id}",
        skill_id=skill.id,
        from_version=skill.canary_version or "",
        to_version=skill.active_version,
        operator=end.by or CANARY_OPERATOR,
        reason=end.reason,
    )


def _announcement(skill: SkillRow, mutation: ToolMutationRow, end: TrialEnd, thread: str) -> Event:
    return skill_rolled_back(
        skill.id,
        skill_name=skill.name,
        agent_id=mutation.agent_id,
        from_version=skill.canary_version or "",
        to_version=skill.active_version,
        operator=end.by or CANARY_OPERATOR,
        reason=end.reason,
        correlation_id=thread,
        caused_by=end.caused_by,
        by=By.PERSON if end.by else By.TRIAL,
    )
