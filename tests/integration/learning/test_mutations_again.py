"""Every step of the evolution loop is done once, however often its event comes."""

import uuid
from collections import Counter
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from autodev.fitness.v1 import fitness_service_pb2 as fitness
from autodev.gateway.v1 import event_pb2, event_service_pb2
from autodev.gateway.v1.event_service_pb2_grpc import EventServiceStub
from autodev.learning.v1 import advisor_service_pb2 as advisor
from autodev.learning.v1 import evolver_service_pb2 as evolver
from autodev.learning.v1 import review_service_pb2 as review
from autodev_runtime.identity import service_identity
from autodev_sdk import uuid7
from tests.evolving import AUTONOMOUS, INTERN, QUICK, Workspace
from tests.loop import events_of, kinds, status_of
from tests.mesh import TENANT, Mesh, eventually
from tests.storage import Storages

pytestmark = pytest.mark.asyncio(loop_scope="module")

STEPS = (
    "optimization_triggered",
    "mutation_generated",
    "mutation_executed",
    "variants_compared",
    "review_requested",
)
COMPARING = ("variant_scored", "variants_compared")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def workspace(storages: Storages, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Workspace]:
    with storages.new(tmp_path_factory.mktemp("again")) as storage:
        async with Mesh(storage.directory, settings=QUICK | storage.settings) as mesh, mesh.client() as client:
            space = Workspace(mesh, client)
            await space.configure()
            yield space


async def _publish_again(workspace: Workspace, events: list[event_pb2.Event]) -> None:
    """The same events under other ids, as only a service may publish them."""
    for event in events:
        event.id = uuid7()
    async with workspace.mesh.channel("internal") as channel:
        await EventServiceStub(channel).Publish(
            event_service_pb2.PublishRequest(events=events), metadata=service_identity("learning", TENANT).metadata()
        )


async def _worked_through(workspace: Workspace, agent: str) -> None:
    """A run of another agent's skill that comes after them, worked through by the same groups."""
    last = await workspace.agent(AUTONOMOUS)
    skill = await workspace.skill(last)
    await workspace.slow_run(skill, last)
    await eventually(lambda: workspace.waiting_review(last), f"what came after the events of {agent} is done")


async def test_events_that_come_again_change_nothing(workspace: Workspace) -> None:
    agent = await workspace.agent(AUTONOMOUS)
    skill = await workspace.skill(agent)
    await workspace.slow_run(skill, agent)
    waiting = await eventually(lambda: workspace.waiting_review(agent), "a mutation waits for review")
    before = await workspace.mutations(skill.id)
    events = [each for each in await events_of(workspace.client, agent) if each.WhichOneof("payload") in STEPS]
    assert Counter(kinds(events))["mutation_executed"] == 1
    again = [each for each in events if not each.HasField("variants_compared")]
    await _publish_again(workspace, again)
    await _worked_through(workspace, agent)
    assert await workspace.mutations(skill.id) == before
    happened = Counter(kinds(await events_of(workspace.client, agent)))
    assert happened["variants_compared"] == 1
    assert all(happened[kind] == 2 for kind in kinds(again) if kind != "review_requested")

    await workspace.client.reviews.ApproveReview(review.ApproveReviewRequest(review_id=waiting.id))
    await eventually(lambda: workspace.version(skill.id, "1.1.0"), "version 1.1.0 is active")
    decided = [each for each in await events_of(workspace.client, agent) if each.HasField("review_decided")]
    await _publish_again(workspace, decided[-1:])
    await _worked_through(workspace, agent)
    promoted = await workspace.version(skill.id, "1.1.0")
    assert promoted is not None
    (mutation,) = await workspace.mutations(skill.id)
    assert mutation.outcome == evolver.MUTATION_OUTCOME_PROMOTED
    happened = Counter(kinds(await events_of(workspace.client, agent)))
    # One for the skill itself, one for the mutation.
    assert happened["skill_promoted"] == 2


async def _comparing(workspace: Workspace, agent: str) -> list[event_pb2.Event]:
    """The events of the fitness service, once it has scored and compared."""

    async def told() -> list[event_pb2.Event]:
        scored = [each for each in await events_of(workspace.client, agent) if each.WhichOneof("payload") in COMPARING]
        return scored if {*kinds(scored)} == {*COMPARING} else []

    return await eventually(told, "scores and comparisons are told")


async def test_scores_and_comparisons_belong_to_the_rewrite_and_were_caused_by_its_run(workspace: Workspace) -> None:
    agent = await workspace.agent(AUTONOMOUS)
    skill = await workspace.skill(agent)
    await workspace.slow_run(skill, agent)
    waiting = await eventually(lambda: workspace.waiting_review(agent), "a mutation waits for review")
    (executed,) = [each for each in await events_of(workspace.client, agent) if each.HasField("mutation_executed")]
    belong = {(each.correlation_id, each.causation_id) for each in await _comparing(workspace, agent)}
    assert belong == {(waiting.subject_id, executed.id)}


async def test_the_best_of_an_experiment_stays_it_whatever_comes_again(workspace: Workspace) -> None:
    agent = await workspace.agent(AUTONOMOUS)
    skill = await workspace.skill(agent)
    await workspace.slow_run(skill, await workspace.agent(INTERN))

    async def known() -> bool:
        runs = await workspace.client.advisor.GetGuidance(advisor.GetGuidanceRequest(skill_id=skill.id))
        return runs.data_summary.executions == 1

    await eventually(known, "the slow call is a known input")
    request = evolver.RunResearchExperimentRequest(request_id=uuid.uuid4().hex, skill_id=skill.id, agent_id=agent)
    request.budget.max_iterations = 2
    seen = [each.experiment async for each in workspace.client.evolver.RunResearchExperiment(request, timeout=120)]
    waiting = await eventually(lambda: workspace.waiting_review(agent), "the best waits for review")
    assert waiting.subject_id == seen[-1].best_mutation_id
    assert {each.correlation_id for each in await _comparing(workspace, agent)} == {seen[-1].id}
    before = await workspace.mutations(skill.id)
    generated = [each for each in await events_of(workspace.client, agent) if each.HasField("mutation_generated")]
    assert waiting.subject_id in [each.mutation_generated.mutation_id for each in generated]
    await _publish_again(workspace, generated)
    await _worked_through(workspace, agent)
    assert await workspace.mutations(skill.id) == before


async def test_a_version_and_trigger_make_one_opportunity(workspace: Workspace) -> None:
    agent = await workspace.agent(AUTONOMOUS)
    skill = await workspace.skill(agent)
    for _ in range(3):
        await workspace.slow_run(skill, agent)
    await eventually(lambda: workspace.waiting_review(agent), "a mutation waits for review")
    # Of another version than the active one, a run shows nothing that is left to do.
    await workspace.slow_run(skill, agent, version="0.9.0")
    await _worked_through(workspace, agent)
    listed = await workspace.client.evolver.ListOpportunities(evolver.ListOpportunitiesRequest(page_size=500))
    assert [each.agent_id for each in listed.opportunities].count(agent) == 1
    assert len(await workspace.mutations(skill.id)) == 1


async def test_no_caller_chooses_what_a_rewrite_was_made_from(workspace: Workspace) -> None:
    agent = await workspace.agent(AUTONOMOUS)
    skill = await workspace.skill(agent)
    evolve = workspace.client.evolver
    generate = evolver.GenerateToolMutationRequest(request_id=uuid.uuid4().hex, skill_id=skill.id, agent_id=agent)
    made = (await evolve.GenerateToolMutation(generate)).mutation
    unrelated = evolver.SpawnWorkflowVariantRequest(request_id=uuid.uuid4().hex, agent_id=agent)
    unrelated.workflow_definition.update({"steps": ["fetch"]})
    other = (await evolve.SpawnWorkflowVariant(unrelated)).variant_id
    spawn = evolver.SpawnWorkflowVariantRequest(
        request_id=uuid.uuid4().hex, agent_id=agent, mutation_id=made.id, parent_variant_id=other
    )
    assert await status_of(evolve.SpawnWorkflowVariant(spawn)) == "INVALID_ARGUMENT"
    spawn.parent_variant_id = ""
    spawned = await evolve.SpawnWorkflowVariant(spawn)
    parent = fitness.GetVariantRequest(variant_id=spawned.parent_variant_id)
    definition = (await workspace.client.fitness.GetVariant(parent)).variant.workflow_definition
    assert dict(definition) == {"skill_id": skill.id, "version": "1.0.0"}
    spawn.parent_variant_id = spawned.parent_variant_id
    assert await evolve.SpawnWorkflowVariant(spawn) == spawned


async def test_lists_come_in_pages(workspace: Workspace) -> None:
    agent = await workspace.agent(AUTONOMOUS)
    skill = await workspace.skill(agent)
    evolve = workspace.client.evolver
    made = [
        (
            await evolve.GenerateToolMutation(
                evolver.GenerateToolMutationRequest(request_id=uuid.uuid4().hex, skill_id=skill.id, agent_id=agent)
            )
        ).mutation.id
        for _ in range(3)
    ]
    first = await evolve.ListMutations(evolver.ListMutationsRequest(skill_id=skill.id, page_size=2))
    rest = await evolve.ListMutations(
        evolver.ListMutationsRequest(skill_id=skill.id, page_size=2, page_token=first.next_page_token)
    )
    assert [each.id for each in (*first.mutations, *rest.mutations)] == made[::-1]
    assert rest.next_page_token == ""
