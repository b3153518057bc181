"""Reviews and the decisions on them."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from sqlalchemy import select, union_all, update
from sqlalchemy.ext.asyncio import AsyncSession

from autodev_learning.evolution.mutations import version_of
from autodev_learning.memento.announcements import review_decided
from autodev_learning.memento.candidates import CandidateStatus
from autodev_learning.proof.agreement import Overfit
from autodev_learning.rows import ReviewRow, SkillCandidateRow, SkillRow, SkillVersionRow, ToolMutationRow
from autodev_learning.skills.reviews import Decision, Review, ReviewState, SubjectKind, overtaken_by
from autodev_learning.store.threads import thread_of
from autodev_runtime.database import Database
from autodev_runtime.errors import NotFound
from autodev_runtime.identity import current_tenant
from autodev_runtime.outbox import Outbox
from autodev_runtime.repeating import repeatable

DECIDED_STATUS = {Decision.APPROVED: CandidateStatus.APPROVED, Decision.REJECTED: CandidateStatus.REJECTED}


class ReviewStore:
    """Every method is about the current tenant."""

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._database = database
        self._outbox = outbox

    async def get(self, review_id: str) -> Review:
        """Raises NotFound."""
        async with self._database.reading(current_tenant()) as session:
            row = await session.scalar(select(ReviewRow).where(ReviewRow.id == review_id))
            if row is None:
                raise NotFound("review", review_id)
            return (await _as_they_stand(session, await _reviews(session, [row])))[0]

    async def page(self, state: ReviewState, limit: int, before_id: str | None) -> list[Review]:
        """Reviews, newest first, of those older than `before_id`."""
        query = select(ReviewRow).order_by(ReviewRow.id.desc()).limit(limit)
        if state is ReviewState.WAITING:
            query = query.where(ReviewRow.decision == Decision.WAITING)
        if state is ReviewState.DECIDED:
            query = query.where(ReviewRow.decision != Decision.WAITING)
        if before_id is not None:
            query = query.where(ReviewRow.id < before_id)
        async with self._database.reading(current_tenant()) as session:
            rows = (await session.scalars(query)).all()
            return await _as_they_stand(session, await _reviews(session, rows))

    @repeatable
    async def decide(self, review_id: str, decide: Callable[[Review], Review]) -> Review:
        """Write what `decide` makes of the review, its subject's status and the event, in one transaction."""
        async with self._database.session(current_tenant()) as session:
            row = await session.scalar(select(ReviewRow).where(ReviewRow.id == review_id).with_for_update())
            if row is None:
                raise NotFound("review", review_id)
            (waiting,) = await _reviews(session, [row])
            review = decide(waiting)
            if review == waiting:
                return review
            row.decision, row.reviewer, row.reason = review.decision, review.reviewer, review.reason
            row.decided_at, row.on_trial = review.decided_at, review.on_trial
            variant_id = await _settle_subject(session, review)
            thread = await thread_of(session, review.subject_id)
            self._outbox.add(session, review_decided(review, variant_id, thread))
            return review


def add_review(session: AsyncSession, review: Review) -> None:
    """Add a review that waits, within the caller's transaction, which also announces it."""
    session.add(
        ReviewRow(
            id=review.id,
            subject_kind=review.subject_kind,
            subject_id=review.subject_id,
            agent_id=review.agent_id,
            title=review.title,
            code=review.code,
            diff=review.diff,
            evidence=list(review.evidence),
            fitness_delta=review.fitness_delta,
            overfit=review.overfit,
            requested_at=review.requested_at,
        )
    )


async def _as_they_stand(session: AsyncSession, reviews: Sequence[Review]) -> list[Review]:
    """The reviews, with a line before the evidence of rewrites that wait and whose version is no longer in use."""
    waiting = [each.subject_id for each in reviews if each.decision is Decision.WAITING]
    query = (
        select(ToolMutationRow.id, ToolMutationRow.parent_tool_id, SkillRow.active_version)
        .join(SkillRow, SkillRow.id == ToolMutationRow.skill_id)
        .where(ToolMutationRow.id.in_(waiting))
    )
    said = {}
    for mutation_id, tool_id, active in await session.execute(query):
        made_from = version_of(tool_id)
        if made_from != active:
            said[mutation_id] = (overtaken_by(made_from, active),)
    return [replace(each, evidence=(*said.get(each.subject_id, ()), *each.evidence)) for each in reviews]


async def _settle_subject(session: AsyncSession, review: Review) -> str:
    """Give a candidate its status; of a mutation, whose part follows by event, the fitness variant's id."""
    if review.subject_kind is SubjectKind.MUTATION:
        query = select(ToolMutationRow.variant_id).where(ToolMutationRow.id == review.subject_id)
        return await session.scalar(query) or ""
    await session.execute(
        update(SkillCandidateRow)
        .where(
            SkillCandidateRow.id == review.subject_id, SkillCandidateRow.validation_status == CandidateStatus.VALIDATED
        )
        .values(validation_status=DECIDED_STATUS[review.decision])
    )
    return ""


async def _reviews(session: AsyncSession, rows: Sequence[ReviewRow]) -> list[Review]:
    """The reviews that rows hold, each with the preamble that its subject is promoted with."""
    subjects = [row.subject_id for row in rows]
    of_candidates = select(SkillCandidateRow.id, SkillCandidateRow.preamble).where(SkillCandidateRow.id.in_(subjects))
    of_mutations = (
        select(ToolMutationRow.id, SkillVersionRow.preamble)
        .join(SkillVersionRow, SkillVersionRow.skill_id == ToolMutationRow.skill_id)
        .where(
            ToolMutationRow.id.in_(subjects),
            ToolMutationRow.parent_tool_id == SkillVersionRow.skill_id + "@" + SkillVersionRow.version,
        )
    )
    found = await session.execute(union_all(of_candidates, of_mutations))
    preambles = {each.id: each.preamble for each in found}
    return [_review(row, preambles.get(row.subject_id, "")) for row in rows]


def _review(row: ReviewRow, preamble: str) -> Review:
    return Review(
        id=row.id,
        subject_kind=SubjectKind(row.subject_kind),
        subject_id=row.subject_id,
        agent_id=row.agent_id,
        title=row.title,
        code=row.code,
        preamble=preamble,
        diff=row.diff,
        evidence=tuple(row.evidence),
        fitness_delta=row.fitness_delta,
        overfit=Overfit(row.overfit),
        decision=Decision(row.decision),
        reviewer=row.reviewer,
        reason=row.reason,
        requested_at=row.requested_at,
        on_trial=row.on_trial,
        decided_at=row.decided_at,
    )
