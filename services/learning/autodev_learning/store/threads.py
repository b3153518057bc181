"""What the events of a candidate or a mutation belong to, from its making to its use."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from autodev_learning.evolution.mutations import experiment_of
from autodev_learning.rows import SkillCandidateRow, ToolMutationRow


async def thread_of(session: AsyncSession, subject_id: str) -> str:
    """A candidate's episode, or a mutation's experiment; what is of neither is a thread of its own."""
    candidate = select(SkillCandidateRow.source_episode_id).where(SkillCandidateRow.id == subject_id)
    if episode_id := await session.scalar(candidate):
        return episode_id
    mutation = select(ToolMutationRow.request_id).where(ToolMutationRow.id == subject_id)
    return experiment_of(await session.scalar(mutation) or "") or subject_id
