"""The evolution loop closes by events: a slow run of a skill leads to a faster version that a person approved."""

import uuid
from collections.abc import AsyncIterator

import grpc
import pytest
import pytest_asyncio

from autodev.gateway.v1 import event_pb2, event_service_pb2
from autodev.learning.v1 import advisor_service_pb2 as advisor
from autodev.learning.v1 import evolver_service_pb2 as evolver
from autodev.learning.v1 import review_service_pb2 as review
from autodev.learning.v1 import skill_service_pb2 as skills
from tests.evolving import AUTONOMOUS, BIG, INTERN, QUICK, SUPERVISED, Workspace
from tests.mesh import Mesh, eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def workspace(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Workspace]:
    async with Mesh(tmp_path_factory.mktemp("evolution"), settings=QUICK) as mesh, mesh.client() as client:
        space = Workspace(mesh, client)
        await space.configure()
        yield space


async def test_a_slow_run_of_an_autonomous_agent_becomes_a_faster_version_that_a_person_approved(
    workspace: Workspace,
) -> None:
    agent = await workspace.agent(AUTONOMOUS)
    skill = await workspace.skill(agent)
    await workspace.slow_run(skill, agent)
    waiting = await eventually(lambda: workspace.waiting_review(agent), "a mutation waits for review")
    assert waiting.subject_kind == event_pb2.SUBJECT_KIND_MUTATION
    assert waiting.diff.startswith("--- ")
    assert any("known inputs" in line for line in waiting.evidence)
    assert any("fitness" in line for line in waiting.evidence)
    (mutation,) = await workspace.mutations(skill.id)
    assert mutation.outcome == evolver.MUTATION_OUTCOME_IN_REVIEW
    assert mutation.sandbox_status == evolver.SANDBOX_STATUS_PASSED
    assert mutation.parent_tool_id == f"{skill.id}@1.0.0"
    assert 0 < mutation.time_ratio_low <= mutation.time_ratio <= mutation.time_ratio_high < 1
    assert mutation.time_ratio < 0.5
    interval = f"({mutation.time_ratio_low:.2f} to {mutation.time_ratio_high:.2f})"
    assert any(interval in line for line in waiting.evidence)
    assert {each.call for each in mutation.examples} >= {BIG.format(name=skill.name, rest="")}
    assert mutation.variant_id

    await workspace.client.reviews.ApproveReview(review.ApproveReviewRequest(review_id=waiting.id))
    promoted = await eventually(lambda: workspace.version(skill.id, "1.1.0"), "version 1.1.0 is active")
    assert promoted.active.parent_version == "1.0.0"
    assert promoted.active.source_id == mutation.id
    ran = await workspace.client.skills.ExecuteSkill(
        skills.ExecuteSkillRequest(
            request_id=uuid.uuid4().hex, skill_id=skill.id, agent_id=agent, call=f"{skill.name}([2, 2, 5])"
        )
    )
    assert (ran.success, ran.result_literal, ran.skill_version) == (True, "[2, 5]", "1.1.0")


async def test_a_supervised_agents_opportunity_waits_for_a_person(workspace: Workspace) -> None:
    agent = await workspace.agent(SUPERVISED)
    skill = await workspace.skill(agent)
    await workspace.slow_run(skill, agent)
    found = await eventually(lambda: workspace.opportunity(agent), "the opportunity is found")
    assert (found.started_by, found.mutation_id) == ("", "")
    assert found.trigger == event_pb2.OPTIMIZATION_TRIGGER_LATENCY
    request = evolver.StartOptimizationRequest(opportunity_id=found.id)
    first = await workspace.client.evolver.StartOptimization(request)
    again = await workspace.client.evolver.StartOptimization(request)
    assert first.opportunity.started_by == again.opportunity.started_by == "developer"
    await eventually(lambda: workspace.waiting_review(agent), "a mutation waits for review")
    (mutation,) = await workspace.mutations(skill.id)
    assert (await workspace.opportunity(agent) or found).mutation_id == mutation.id


async def test_an_interns_run_is_kept_and_nothing_more(workspace: Workspace) -> None:
    agent = await workspace.agent(INTERN)
    skill = await workspace.skill(agent)
    await workspace.slow_run(skill, agent)

    async def kept() -> bool:
        answer = await workspace.client.advisor.GetGuidance(advisor.GetGuidanceRequest(skill_id=skill.id))
        return answer.data_summary.executions == 1

    await eventually(kept, "the run is kept")
    assert await workspace.opportunity(agent) is None


async def test_only_a_reviewer_starts_an_optimization(workspace: Workspace) -> None:
    async with workspace.mesh.client(subject="agent") as client:
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await client.evolver.StartOptimization(evolver.StartOptimizationRequest(opportunity_id="none"))
    assert error.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_an_agent_that_fell_below_supervised_gets_no_optimization(workspace: Workspace) -> None:
    agent = await workspace.agent(SUPERVISED)
    skill = await workspace.skill(agent)
    await workspace.slow_run(skill, agent)
    found = await eventually(lambda: workspace.opportunity(agent), "the opportunity is found")
    await workspace.set_level(agent, INTERN)
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await workspace.client.evolver.StartOptimization(evolver.StartOptimizationRequest(opportunity_id=found.id))
    assert error.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert "SUPERVISED" in (error.value.details() or "")


async def test_a_rejected_mutation_is_discarded_and_the_skill_stays(workspace: Workspace) -> None:
    agent = await workspace.agent(AUTONOMOUS)
    skill = await workspace.skill(agent)
    await workspace.slow_run(skill, agent)
    waiting = await eventually(lambda: workspace.waiting_review(agent), "a mutation waits for review")
    await workspace.client.reviews.RejectReview(review.RejectReviewRequest(review_id=waiting.id, reason="not now"))

    def discarded(mutation: evolver.ToolMutation) -> bool:
        return mutation.outcome == evolver.MUTATION_OUTCOME_DISCARDED

    await eventually(lambda: workspace.mutation_where(skill.id, discarded), "the mutation is discarded")
    assert (await workspace.get_skill(skill.id)).active.version == "1.0.0"


async def test_a_failing_run_with_a_known_answer_leads_to_a_repair(workspace: Workspace) -> None:
    agent = await workspace.agent(AUTONOMOUS)
    head = "def {name}(items):\n    seen = []\n    for item in items:\n        if item not in seen[:4]:\n"
    code = head + "            seen.append(item)\n    return seen[:]\n"
    skill = await workspace.skill(agent, code)
    call = f"{skill.name}([1, 2, 3, 4, 5, 5])"
    await workspace.publish(
        event_pb2.SkillExecutionEvent(
            execution_id=uuid.uuid4().hex, agent_id=agent, skill_id=skill.id, skill_name=skill.name,
            execution_seconds=0.01, success=False, call=call, expected="[1, 2, 3, 4, 5]", output="AssertionError",
        )
    )  # fmt: skip
    waiting = await eventually(lambda: workspace.waiting_review(agent), "a repair waits for review")
    await workspace.client.reviews.ApproveReview(review.ApproveReviewRequest(review_id=waiting.id))
    await eventually(lambda: workspace.version(skill.id, "1.1.0"), "version 1.1.0 is active")
    ran = await workspace.client.skills.ExecuteSkill(
        skills.ExecuteSkillRequest(request_id=uuid.uuid4().hex, skill_id=skill.id, agent_id=agent, call=call)
    )
    assert ran.result_literal == "[1, 2, 3, 4, 5]"


async def test_a_run_of_what_is_no_skill_is_no_error(workspace: Workspace) -> None:
    agent = await workspace.agent(AUTONOMOUS)
    unknown = skills.Skill(id="no-such-skill", name="nothing")
    await workspace.slow_run(unknown, agent)
    skill = await workspace.skill(agent)
    await workspace.slow_run(skill, agent)
    found = await eventually(lambda: workspace.opportunity(agent), "the later run is worked through")
    assert found.skill_id == skill.id
    dead = await workspace.client.events.ListDeadLetters(
        event_service_pb2.ListDeadLettersRequest(group="learning.evolution")
    )
    assert not dead.dead_letters
