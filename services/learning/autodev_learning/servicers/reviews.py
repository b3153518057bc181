"""ReviewService."""

from typing import Any

from autodev.learning.v1 import review_service_pb2 as pb
from autodev.learning.v1.review_service_pb2_grpc import ReviewServiceServicer
from autodev_learning.memento.announcements import DECISIONS, SUBJECT_KINDS
from autodev_learning.servicers.messages import OVERFIT, key_of, moment_to_proto
from autodev_learning.skills.reviews import Decision, Review, Reviews, ReviewState
from autodev_runtime.identity import Role, require_role
from autodev_runtime.paging import page_of, page_size

STATES = {
    pb.REVIEW_STATE_UNSPECIFIED: ReviewState.ALL,
    pb.REVIEW_STATE_WAITING: ReviewState.WAITING,
    pb.REVIEW_STATE_DECIDED: ReviewState.DECIDED,
}


class ReviewServicer(ReviewServiceServicer):
    """Who decides is who calls."""

    def __init__(self, reviews: Reviews) -> None:
        self._reviews = reviews

    async def GetReview(self, request: pb.GetReviewRequest, context: Any) -> pb.GetReviewResponse:
        return pb.GetReviewResponse(review=review_to_proto(await self._reviews.get(request.review_id)))

    async def ListReviews(self, request: pb.ListReviewsRequest, context: Any) -> pb.ListReviewsResponse:
        size = page_size(request.page_size)
        found = await self._reviews.page(STATES[request.state], size + 1, key_of(request.page_token))
        page, token = page_of(found, size, review_to_proto, lambda last: [last.id])
        return pb.ListReviewsResponse(reviews=page, next_page_token=token)

    async def ApproveReview(self, request: pb.ApproveReviewRequest, context: Any) -> pb.ApproveReviewResponse:
        review = await self._decide(request.review_id, Decision.APPROVED, request.reason, on_trial=request.on_trial)
        return pb.ApproveReviewResponse(review=review_to_proto(review))

    async def RejectReview(self, request: pb.RejectReviewRequest, context: Any) -> pb.RejectReviewResponse:
        review = await self._decide(request.review_id, Decision.REJECTED, request.reason)
        return pb.RejectReviewResponse(review=review_to_proto(review))

    async def _decide(self, review_id: str, decision: Decision, reason: str, *, on_trial: bool = False) -> Review:
        reviewer = require_role(Role.REVIEWER).subject
        return await self._reviews.decide(review_id, decision, reviewer, reason, on_trial=on_trial)


def review_to_proto(review: Review) -> pb.Review:
    return pb.Review(
        id=review.id,
        subject_kind=SUBJECT_KINDS[review.subject_kind],
        subject_id=review.subject_id,
        title=review.title,
        code=review.code,
        preamble=review.preamble,
        diff=review.diff,
        evidence=review.evidence,
        fitness_delta=review.fitness_delta,
        agent_id=review.agent_id,
        decision=DECISIONS[review.decision],
        reviewer=review.reviewer,
        reason=review.reason,
        requested_at=moment_to_proto(review.requested_at),
        decided_at=moment_to_proto(review.decided_at),
        overfit=OVERFIT[review.overfit],
        on_trial=review.on_trial,
    )
