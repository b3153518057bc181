"""ReflectionService."""

from typing import TYPE_CHECKING, Any

from autodev.learning.v1 import reflection_service_pb2 as pb
from autodev.learning.v1.reflection_service_pb2_grpc import ReflectionServiceServicer
from autodev_learning.memento.reflection import FailurePattern
from autodev_learning.servicers.messages import key_of, moment_to_proto
from autodev_runtime.paging import page_of, page_size

if TYPE_CHECKING:
    from autodev_learning.store.episodes import EpisodeStore


class ReflectionServicer(ReflectionServiceServicer):
    """Reads patterns; nothing here makes one."""

    def __init__(self, episodes: "EpisodeStore") -> None:
        self._episodes = episodes

    async def GetFailurePattern(
        self, request: pb.GetFailurePatternRequest, context: Any
    ) -> pb.GetFailurePatternResponse:
        pattern = await self._episodes.get_pattern(request.pattern_id)
        return pb.GetFailurePatternResponse(pattern=pattern_to_proto(pattern))

    async def ListFailurePatterns(
        self, request: pb.ListFailurePatternsRequest, context: Any
    ) -> pb.ListFailurePatternsResponse:
        size = page_size(request.page_size)
        found = await self._episodes.list_patterns(request.agent_id, size + 1, key_of(request.page_token))
        page, token = page_of(found, size, pattern_to_proto, lambda last: [last.id])
        return pb.ListFailurePatternsResponse(patterns=page, next_page_token=token)


def pattern_to_proto(pattern: FailurePattern) -> pb.FailurePattern:
    return pb.FailurePattern(
        id=pattern.id,
        agent_id=pattern.agent_id,
        error_signature=pattern.error_signature,
        task_description=pattern.task_description,
        episode_ids=pattern.episode_ids,
        detected_at=moment_to_proto(pattern.detected_at),
        candidate_id=pattern.candidate_id or "",
        skipped_reason=pattern.skipped_reason,
        failure_count=pattern.failures,
        agent_ids=pattern.agent_ids,
    )
