"""Another tenant's things are not there: every RPC that takes an id, called with the ids of a tenant not the caller's.

The first tenant gets one of everything. Which RPCs take which id is read from the descriptors, so a new RPC is asked
the day it is written.
"""

import importlib
import random
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.protobuf.descriptor import MethodDescriptor

from autodev.capability.v1 import capability_service_pb2 as capability
from autodev.gateway.v1 import event_pb2, event_service_pb2, key_service_pb2
from autodev.learning.v1 import evolver_service_pb2 as evolver
from autodev.learning.v1 import memento_service_pb2, reflection_service_pb2, review_service_pb2
from autodev_sdk import AutoDevClient, make_event
from tests.contract.messages import FILES, message_class, methods, plausible
from tests.mesh import OTHER_TENANT, SILENT_TENANT, Mesh, eventually
from tests.storage import Storages

pytestmark = pytest.mark.asyncio(loop_scope="module")

for each in FILES:
    importlib.import_module(f"{each.removesuffix('.proto').replace('/', '.')}_pb2")

AGENT = "t-agent"
LISTS_OF_ONE_SKILL = ("ListSkillVersions", "ListSkillExamples")
CALL_S = 20.0
OWNED = (
    "candidate_id",
    "episode_id",
    "experiment_id",
    "key_id",
    "mutation_id",
    "opportunity_id",
    "pattern_id",
    "reservation_id",
    "review_id",
    "skill_id",
    "variant_id",
)
"""The fields that name something of a tenant. (An agent's id is the tenant's own word for it, not a reference.)"""


@dataclass(frozen=True)
class Theirs:
    """A mesh, and the ids of everything that its first tenant has."""

    mesh: Mesh
    ids: dict[str, str]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def theirs(storages: Storages, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Theirs]:
    with storages.new(tmp_path_factory.mktemp("tenants")) as storage:
        async with Mesh(storage.directory, settings=storage.settings) as mesh, mesh.client() as client:
            yield Theirs(mesh, await one_of_everything(client))


async def one_of_everything(client: AutoDevClient) -> dict[str, str]:
    """Make one of each thing that has an id, through the loops themselves."""
    await _set_up(client)
    await client.events.Publish(event_service_pb2.PublishRequest(events=list(_failures())))
    review = await eventually(lambda: _waiting(client), "a review waits")
    await client.reviews.ApproveReview(review_service_pb2.ApproveReviewRequest(review_id=review.id))
    candidate = await eventually(lambda: _promoted(client, review.subject_id), "the candidate is promoted")
    patterns = await client.reflection.ListFailurePatterns(reflection_service_pb2.ListFailurePatternsRequest())
    reserved = await client.capability.ReserveUsage(
        capability.ReserveUsageRequest(request_id="r1", agent_id=AGENT, capability="auto_dev.memento_skills")
    )
    held = await client.keys.CreateKey(key_service_pb2.CreateKeyRequest(request_id="k1", subject="ada"))
    return {
        "candidate_id": candidate.id,
        "episode_id": "t-1",
        "key_id": held.key.id,
        "pattern_id": patterns.patterns[0].id,
        "reservation_id": reserved.reservation.id,
        "review_id": review.id,
        "skill_id": candidate.skill_id,
    } | await _evolved(client, candidate.skill_id)


async def _set_up(client: AutoDevClient) -> None:
    settings = capability.WorkspaceSettings(
        enabled=True,
        memento_skills=True,
        alpha_evolver=True,
        max_mutations_per_day=100,
        max_skill_candidates_per_day=100,
    )
    await client.capability.UpdateWorkspaceSettings(capability.UpdateWorkspaceSettingsRequest(settings=settings))
    level = capability.MATURITY_LEVEL_SUPERVISED
    await client.capability.SetMaturity(capability.SetMaturityRequest(agent_id=AGENT, maturity=level))


def _failures() -> Iterator[event_pb2.Event]:
    for number, code in ((1, "items[len(items) - 2]"), (2, "items[len(items)]")):
        failure = event_pb2.TaskEvent(
            episode_id=f"t-{number}",
            agent_id=AGENT,
            task_description="Take the last item",
            code=f"def last(items):\n    return {code}\n",
            error_trace="AssertionError: wrong value",
            outcome=event_pb2.OUTCOME_FAILURE,
            examples=[event_pb2.Example(call=f"last({[*range(n)]})", expected=str(n - 1)) for n in range(1, 7)],
        )
        yield make_event(failure, agent_id=AGENT)


async def _waiting(client: AutoDevClient) -> review_service_pb2.Review | None:
    reviews = await client.reviews.ListReviews(review_service_pb2.ListReviewsRequest())
    return next(iter(reviews.reviews), None)


async def _promoted(client: AutoDevClient, candidate_id: str) -> memento_service_pb2.SkillCandidate | None:
    answer = await client.memento.GetCandidate(memento_service_pb2.GetCandidateRequest(candidate_id=candidate_id))
    promoted = answer.candidate.validation_status == memento_service_pb2.CANDIDATE_STATUS_PROMOTED
    return answer.candidate if promoted else None


async def _evolved(client: AutoDevClient, skill_id: str) -> dict[str, str]:
    slow = event_pb2.SkillExecutionEvent(
        execution_id="run-1", agent_id=AGENT, skill_id=skill_id, execution_seconds=9, success=True
    )
    await client.events.Publish(event_service_pb2.PublishRequest(events=[make_event(slow, agent_id=AGENT)]))
    opportunity = await eventually(lambda: _opportunity(client), "an opportunity")
    named: dict[str, Any] = {"skill_id": skill_id, "agent_id": AGENT}
    made = await client.evolver.GenerateToolMutation(evolver.GenerateToolMutationRequest(request_id="m1", **named))
    workflow = evolver.SpawnWorkflowVariantRequest(request_id="v1", agent_id=AGENT)
    workflow.workflow_definition["steps"] = "one"
    spawned = await client.evolver.SpawnWorkflowVariant(workflow)
    budget = evolver.ExperimentBudget(max_iterations=1)
    experiments = client.evolver.RunResearchExperiment(
        evolver.RunResearchExperimentRequest(request_id="x1", budget=budget, **named)
    )
    steps = [response.experiment.id async for response in experiments]
    return {
        "experiment_id": steps[-1],
        "mutation_id": made.mutation.id,
        "opportunity_id": opportunity.id,
        "variant_id": spawned.variant_id,
    }


async def _opportunity(client: AutoDevClient) -> evolver.Opportunity | None:
    found = await client.evolver.ListOpportunities(evolver.ListOpportunitiesRequest())
    return next(iter(found.opportunities), None)


def asked_with_an_id() -> Iterator[tuple[MethodDescriptor, str]]:
    """Every RPC with a field that names something of a tenant, and the field."""
    for method in methods():
        for field in method.input_type.fields:
            name = "variant_id" if field.name.endswith("_variant_id") else field.name
            if name in OWNED:
                yield method, field.name


@pytest.mark.parametrize(
    ("method", "field"), list(asked_with_an_id()), ids=lambda each: each if isinstance(each, str) else each.name
)
async def test_another_tenants_thing_is_not_found(theirs: Theirs, method: MethodDescriptor, field: str) -> None:
    request = _first_page(method, random.Random(3))
    setattr(request, field, theirs.ids["variant_id" if field.endswith("_variant_id") else field])
    async with theirs.mesh.client(OTHER_TENANT) as stranger:
        if method.name.startswith("List") and method.name not in LISTS_OF_ONE_SKILL:
            assert await _answer(stranger, method, request) == message_class(method.output_type)()
        else:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await _answer(stranger, method, request)
            assert refused.value.code() is grpc.StatusCode.NOT_FOUND, refused.value


async def test_what_another_tenant_has_is_in_no_list(theirs: Theirs) -> None:
    # Not the tenant that asked for things of another's by their ids: its audit log says so.
    async with theirs.mesh.client(SILENT_TENANT) as stranger:
        for method in methods():
            if method.name.startswith("List") and not any(field.name in OWNED for field in method.input_type.fields):
                request = _first_page(method, random.Random(5))
                if method.name == "ListDeadLetters":  # Of a group that it has not, whoever has one of that name.
                    with pytest.raises(grpc.aio.AioRpcError, match="NOT_FOUND") as refused:
                        await _answer(stranger, method, request)
                    answer = str(refused.value)
                else:
                    answer = str(await _answer(stranger, method, request))
                assert not any(value in answer for value in theirs.ids.values()), f"{method.name}: {answer}"


def _first_page(method: MethodDescriptor, rng: random.Random) -> Any:
    request = plausible(method.input_type, rng)
    if "page_token" in method.input_type.fields_by_name:
        request.ClearField("page_token")
    return request


async def _answer(client: AutoDevClient, method: MethodDescriptor, request: Any) -> Any:
    options = {
        "request_serializer": type(request).SerializeToString,
        "response_deserializer": message_class(method.output_type).FromString,
    }
    name = f"/{method.containing_service.full_name}/{method.name}"
    if method.server_streaming:
        return await client.channel.unary_stream(name, **options)(request, timeout=CALL_S).read()
    return await client.channel.unary_unary(name, **options)(request, timeout=CALL_S)
