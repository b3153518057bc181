"""Skill candidates: each step is one transaction, with its event."""

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from autodev_learning.memento.announcements import candidate_generated, candidate_validated, review_requested
from autodev_learning.memento.candidates import AnalyzedFailure, Candidate, CandidateStatus, ValidationResult
from autodev_learning.rows import FailurePatternRow, SkillCandidateRow
from autodev_learning.skills.provenance import Provenance
from autodev_learning.skills.reviews import Review
from autodev_learning.store.episodes import EXAMPLES
from autodev_learning.store.reviews import add_review
from autodev_learning.store.shapes import Json
from autodev_runtime.columns import insert_if_absent, now
from autodev_runtime.database import Database
from autodev_runtime.errors import NotFound
from autodev_runtime.identity import current_tenant
from autodev_runtime.outbox import Outbox
from autodev_runtime.repeating import repeatable

FAILURE: Json[AnalyzedFailure] = Json(AnalyzedFailure)
PROVENANCE: Json[Provenance] = Json(Provenance)
RESULT: Json[ValidationResult] = Json(ValidationResult)


class CandidateStore:
    """Every method is about the current tenant."""

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._database = database
        self._outbox = outbox

    async def find(self, request_id: str) -> Candidate | None:
        """The candidate that a request made."""
        async with self._database.reading(current_tenant()) as session:
            return await _find(session, request_id)

    async def get(self, candidate_id: str) -> Candidate:
        """Raises NotFound."""
        async with self._database.reading(current_tenant()) as session:
            row = await session.scalar(select(SkillCandidateRow).where(SkillCandidateRow.id == candidate_id))
            if row is None:
                raise NotFound("skill candidate", candidate_id)
            return candidate_from_row(row)

    async def page(
        self, agent_id: str, status: CandidateStatus | None, limit: int, before_id: str | None
    ) -> list[Candidate]:
        """Candidates, newest first, of those older than `before_id`; of one agent and status, or of all."""
        query = select(SkillCandidateRow).order_by(SkillCandidateRow.id.desc()).limit(limit)
        if agent_id:
            query = query.where(SkillCandidateRow.agent_id == agent_id)
        if status is not None:
            query = query.where(SkillCandidateRow.validation_status == status)
        if before_id is not None:
            query = query.where(SkillCandidateRow.id < before_id)
        async with self._database.reading(current_tenant()) as session:
            return [candidate_from_row(row) for row in await session.scalars(query)]

    @repeatable
    async def add(self, candidate: Candidate, caused_by: str) -> Candidate:
        """Write a candidate and announce it; the first one of its request wins, and is given back."""
        async with self._database.session(current_tenant()) as session:
            if not await insert_if_absent(session, SkillCandidateRow, **_values(candidate)):
                known = await _find(session, candidate.request_id)
                assert known is not None
                return known
            if candidate.pattern_id is not None:
                await session.execute(
                    update(FailurePatternRow)
                    .where(FailurePatternRow.id == candidate.pattern_id)
                    .values(candidate_id=candidate.id, skipped_reason="")
                )
            self._outbox.add(session, candidate_generated(candidate, caused_by))
            return candidate

    @repeatable
    async def record_validation(
        self, candidate: Candidate, result: ValidationResult, review: Review | None, caused_by: str
    ) -> Candidate:
        """Write how a pending candidate did, with the review that it waits for, and announce both; once."""
        async with self._database.session(current_tenant()) as session:
            row = await candidate_row(session, candidate.id)
            if row.validation_status != CandidateStatus.PENDING:
                return candidate_from_row(row)
            row.validation_status = CandidateStatus.VALIDATED if review else CandidateStatus.FAILED
            row.validation_result = RESULT.dump(result)
            row.fitness_score = result.share_passed
            row.overfit = result.overfit
            row.validated_at = now()
            self._outbox.add(session, candidate_validated(candidate, result, caused_by))
            if review is not None:
                row.review_id = review.id
                add_review(session, review)
                self._outbox.add(session, review_requested(review, candidate.source_episode_id, caused_by))
            return candidate_from_row(row)


async def candidate_row(session: AsyncSession, candidate_id: str) -> SkillCandidateRow:
    """A candidate's row, to be changed. Raises NotFound."""
    query = select(SkillCandidateRow).where(SkillCandidateRow.id == candidate_id)
    row = await session.scalar(query.with_for_update())
    if row is None:
        raise NotFound("skill candidate", candidate_id)
    return row


async def _find(session: AsyncSession, request_id: str) -> Candidate | None:
    row = await session.scalar(select(SkillCandidateRow).where(SkillCandidateRow.request_id == request_id))
    return candidate_from_row(row) if row is not None else None


def _values(candidate: Candidate) -> dict[str, object]:
    return {
        "id": candidate.id,
        "request_id": candidate.request_id,
        "agent_id": candidate.agent_id,
        "source_episode_id": candidate.source_episode_id,
        "pattern_id": candidate.pattern_id,
        "skill_name": candidate.skill_name,
        "skill_description": candidate.skill_description,
        "generated_code": candidate.code,
        "preamble": candidate.preamble,
        "failing_code": candidate.failing_code,
        "examples": EXAMPLES.dump(candidate.examples),
        "failure_pattern": FAILURE.dump(candidate.failure),
        "validation_status": candidate.status,
        "validation_result": RESULT.dump(candidate.result) if candidate.result else None,
        "provenance": PROVENANCE.dump(candidate.provenance),
        "created_at": candidate.created_at,
    }


def candidate_from_row(row: SkillCandidateRow) -> Candidate:
    """The candidate that a row holds."""
    return Candidate(
        id=row.id,
        request_id=row.request_id,
        agent_id=row.agent_id,
        source_episode_id=row.source_episode_id,
        pattern_id=row.pattern_id,
        skill_name=row.skill_name,
        skill_description=row.skill_description,
        code=row.generated_code,
        preamble=row.preamble,
        failing_code=row.failing_code,
        examples=EXAMPLES.load(row.examples),
        failure=FAILURE.load(row.failure_pattern),
        status=CandidateStatus(row.validation_status),
        result=RESULT.load(row.validation_result) if row.validation_result is not None else None,
        provenance=PROVENANCE.load(row.provenance),
        fitness_score=row.fitness_score,
        review_id=row.review_id,
        skill_id=row.skill_id,
        created_at=row.created_at,
        validated_at=row.validated_at,
        promoted_at=row.promoted_at,
    )
