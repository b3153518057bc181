"""Follows what a variant was made of past what one answer holds."""

from collections.abc import Awaitable, Callable

from autodev.fitness.v1 import fitness_service_pb2 as pb

MOST_ANSWERS = 20
"""With a thousand variants each, at most. What one answer holds is bounded by bytes, too."""


async def whole_lineage(
    call: Callable[[pb.GetLineageRequest], Awaitable[pb.GetLineageResponse]], variant_id: str
) -> pb.GetLineageResponse:
    """A variant and its ancestors as one answer. Where it is cut, the last one has a parent."""
    line = await call(pb.GetLineageRequest(variant_id=variant_id))
    for _ in range(1, MOST_ANSWERS):
        if not (parent := line.variants[-1].parent_variant_id):
            break
        line.variants.extend((await call(pb.GetLineageRequest(variant_id=parent))).variants)
    return line
