"""MementoService."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from autodev.gateway.v1 import event_pb2
from autodev.learning.v1 import memento_service_pb2 as pb
from autodev.learning.v1.memento_service_pb2_grpc import MementoServiceServicer
from autodev_learning.memento.candidates import AnalyzedFailure, Candidate, CandidateStatus, ValidationResult
from autodev_learning.memento.memento import Memento
from autodev_learning.memento.proposing import Known
from autodev_learning.memento.validation import Validation
from autodev_learning.servicers.messages import (
    OVERFIT,
    example_result_to_proto,
    examples_to_proto,
    generated_to_proto,
    key_of,
    moment_to_proto,
    provenance_to_proto,
    tool_call_to_proto,
)
from autodev_learning.skills.promotion import CandidatePromoter
from autodev_runtime.identity import Role, require_role
from autodev_runtime.paging import page_of, page_size

if TYPE_CHECKING:
    from autodev_learning.store.candidates import CandidateStore

STATUSES = {status: pb.CandidateStatus.Value(f"CANDIDATE_STATUS_{status.name}") for status in CandidateStatus}
STATUSES_BACK = {number: status for status, number in STATUSES.items()}


class MementoServicer(MementoServiceServicer):
    """One step of the loop a call."""

    def __init__(
        self,
        memento: Memento,
        validation: Validation,
        promoter: CandidatePromoter,
        candidates: "CandidateStore",
        proposers: Sequence[Known],
    ) -> None:
        self._memento = memento
        self._validation = validation
        self._promoter = promoter
        self._candidates = candidates
        self._proposers = proposers

    async def AnalyzeEpisode(self, request: pb.AnalyzeEpisodeRequest, context: Any) -> pb.AnalyzeEpisodeResponse:
        failure = await self._memento.analyze(request.episode_id)
        return pb.AnalyzeEpisodeResponse(failure=failure_to_proto(failure))

    async def ProposeCodeChange(
        self, request: pb.ProposeCodeChangeRequest, context: Any
    ) -> pb.ProposeCodeChangeResponse:
        candidate = await self._memento.propose_for_episode(request.request_id, request.episode_id)
        return pb.ProposeCodeChangeResponse(candidate=candidate_to_proto(candidate))

    async def ValidateCandidate(
        self, request: pb.ValidateCandidateRequest, context: Any
    ) -> pb.ValidateCandidateResponse:
        candidate = await self._validation.validate(request.candidate_id)
        return pb.ValidateCandidateResponse(candidate=candidate_to_proto(candidate))

    async def PromoteCandidate(self, request: pb.PromoteCandidateRequest, context: Any) -> pb.PromoteCandidateResponse:
        require_role(Role.REVIEWER)
        candidate = await self._promoter.promote(request.candidate_id)
        return pb.PromoteCandidateResponse(candidate=candidate_to_proto(candidate))

    async def GetCandidate(self, request: pb.GetCandidateRequest, context: Any) -> pb.GetCandidateResponse:
        candidate = await self._candidates.get(request.candidate_id)
        return pb.GetCandidateResponse(candidate=candidate_to_proto(candidate))

    async def ListCandidates(self, request: pb.ListCandidatesRequest, context: Any) -> pb.ListCandidatesResponse:
        size = page_size(request.page_size)
        found = await self._candidates.page(
            request.agent_id, STATUSES_BACK.get(request.status), size + 1, key_of(request.page_token)
        )
        page, token = page_of(found, size, candidate_to_proto, lambda last: [last.id])
        return pb.ListCandidatesResponse(candidates=page, next_page_token=token)

    async def ListProposers(self, request: pb.ListProposersRequest, context: Any) -> pb.ListProposersResponse:
        return pb.ListProposersResponse(
            proposers=[pb.Proposer(name=each.name, available=each.available) for each in self._proposers]
        )


def failure_to_proto(failure: AnalyzedFailure) -> pb.AnalyzedFailure:
    return pb.AnalyzedFailure(
        task_description=failure.task_description,
        error_signature=failure.error_signature,
        tool_calls=[tool_call_to_proto(call) for call in failure.tool_calls],
        segments=[event_pb2.Segment(kind=part.kind, text=part.text) for part in failure.segments],
        visible_examples=examples_to_proto(failure.visible),
        held_out_examples=failure.held_out_examples,
        episode_ids=failure.episode_ids,
    )


def result_to_proto(result: ValidationResult) -> pb.ValidationResult:
    return pb.ValidationResult(
        examples=[example_result_to_proto(each) for each in result.examples],
        sandbox_seconds=result.sandbox_seconds,
        isolation=result.isolation,
        failure_reason=result.failure_reason,
        generated=generated_to_proto(result.generated),
    )


def candidate_to_proto(candidate: Candidate) -> pb.SkillCandidate:
    return pb.SkillCandidate(
        id=candidate.id,
        agent_id=candidate.agent_id,
        source_episode_id=candidate.source_episode_id,
        skill_name=candidate.skill_name,
        skill_description=candidate.skill_description,
        generated_code=candidate.code,
        preamble=candidate.preamble,
        failure_pattern=failure_to_proto(candidate.failure),
        validation_status=STATUSES[candidate.status],
        validation_result=result_to_proto(candidate.result) if candidate.result else None,
        fitness_score=candidate.fitness_score,
        provenance=provenance_to_proto(candidate.provenance),
        created_at=moment_to_proto(candidate.created_at),
        validated_at=moment_to_proto(candidate.validated_at),
        promoted_at=moment_to_proto(candidate.promoted_at),
        pattern_id=candidate.pattern_id or "",
        review_id=candidate.review_id or "",
        skill_id=candidate.skill_id or "",
        overfit=OVERFIT[candidate.result.overfit] if candidate.result else pb.OVERFIT_MARK_UNSPECIFIED,
    )
