"""The service in the mesh: a review that is decided elsewhere reaches a variant's score, and the log hears of it."""

import pytest

from autodev.fitness.v1 import fitness_service_pb2 as pb
from autodev.gateway.v1 import event_pb2, event_service_pb2
from autodev_runtime.mesh import publisher
from autodev_sdk.events import make_event, uuid7
from tests.integration.fitness.parts import create, evaluate
from tests.mesh import TENANT, Mesh, eventually
from tests.storage import Storage


async def test_an_approval_in_the_log_scores_a_variant_again(storage: Storage) -> None:
    async with (
        Mesh(storage.directory, settings=storage.settings, services=("gateway", "fitness")) as mesh,
        mesh.client() as client,
        mesh.channel("internal") as internal,
    ):
        variant = await create(client.fitness)
        await evaluate(client.fitness, variant.id)
        decided = event_pb2.ReviewDecided(
            review_id=uuid7(),
            subject_kind=event_pb2.SUBJECT_KIND_MUTATION,
            subject_id=uuid7(),
            decision=event_pb2.DECISION_APPROVED,
            variant_id=variant.id,
        )
        event = make_event(decided, agent_id="ada")
        event.tenant_id = TENANT
        await publisher(internal, "learning")([event])

        async def approved() -> pb.WorkflowVariant | None:
            found = (await client.fitness.GetVariant(pb.GetVariantRequest(variant_id=variant.id))).variant
            return found if found.proxy_signals.user_approved else None

        assert (await eventually(approved, "the variant is approved")).fitness_score == pytest.approx(1)
        request = event_service_pb2.SubscribeRequest(
            filter=event_service_pb2.EventFilter(types=[event_pb2.EVENT_TYPE_VARIANT_SCORED]),
            at=event_service_pb2.START_AT_EARLIEST,
        )
        scores: list[float] = []
        async for response in client.events.Subscribe(request, timeout=60):
            scores += [each.variant_scored.fitness_score for each in response.events]
            if len(scores) >= 2:
                break
        assert scores == pytest.approx([0.5, 1])
