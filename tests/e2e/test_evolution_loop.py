"""The evolution loop closes by events: a slow run of a skill leads to a faster version that a person approved."""

import uuid
from collections.abc import AsyncIterator, Callable

import grpc
import pytest
import pytest_asyncio

from autodev.capability.v1 import capability_service_pb2 as capability
from autodev.gateway.v1 import event_pb2, event_service_pb2
from autodev.learning.v1 import advisor_service_pb2 as advisor
from autodev.learning.v1 import evolver_service_pb2 as evolver
from autodev.learning.v1 import review_service_pb2 as review
from autodev.learning.v1 import skill_service_pb2 as skills
from autodev_sdk import AutoDevClient, make_event
from tests.mesh import Mesh, eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

GOOD_RUNS = 3
SLOW = """def {name}(items):
    seen = []
    for item in items:
        if item not in seen:
            seen.append(item)
    return seen
"""
SLOW_IN_TWO_WAYS = """def {name}(items):
    seen = []
    for item in items:
        if item not in seen:
            seen.append(item)
    text = ""
    for item in seen:
        text += str(item)
    return text
"""
BIG = "{name}(list(range(2000)) * 2){rest}"


class Workspace:
    """A tenant's mesh with agents and skills of its own for each test."""

    def __init__(self, mesh: Mesh, client: AutoDevClient) -> None:
        self.mesh = mesh
        self.client = client

    async def configure(self, *, auto_promote: bool = False, mutations_a_day: int = 1000) -> None:
        settings = capability.WorkspaceSettings(
            enabled=True,
            memento_skills=True,
            alpha_evolver=True,
            background_evolution=True,
            max_mutations_per_day=mutations_a_day,
            max_skill_candidates_per_day=1000,
            auto_promote=auto_promote,
        )
        await self.client.capability.UpdateWorkspaceSettings(
            capability.UpdateWorkspaceSettingsRequest(settings=settings)
        )

    async def agent(self, level: "capability.MaturityLevel.ValueType") -> str:
        agent_id = f"agent-{uuid.uuid4().hex[:8]}"
        await self.client.capability.SetMaturity(
            capability.SetMaturityRequest(agent_id=agent_id, maturity=level, reason="test")
        )
        return agent_id

    async def skill(self, agent_id: str, code: str = SLOW, expected: str = "[3, 1, 2]") -> skills.Skill:
        """A skill that the Memento loop made of code that worked for another agent."""
        name = f"distinct_{uuid.uuid4().hex[:8]}"
        task = f"list the values of {name} in their order, each once"
        examples = [
            event_pb2.Example(call=f"{name}([3, 1, 3, 2, 1])", expected=expected),
            event_pb2.Example(call=f"{name}([])", expected="[]" if expected.startswith("[") else "''"),
        ]
        right = event_pb2.TaskEvent(
            episode_id=f"{name}-right", agent_id=f"{agent_id}-peer", task_description=task,
            outcome=event_pb2.OUTCOME_SUCCESS, code=code.format(name=name), examples=examples,
        )  # fmt: skip
        wrong = [
            event_pb2.TaskEvent(
                episode_id=f"{name}-wrong-{number}", agent_id=agent_id, task_description=task,
                outcome=event_pb2.OUTCOME_FAILURE, code=f"def {name}(items):\n    return None\n", examples=examples,
                error_trace="AssertionError: wrong",
            )
            for number in (1, 2)
        ]  # fmt: skip
        await self.publish(right)
        await self.publish(*wrong)
        waiting = await eventually(lambda: self.waiting_review(agent_id), "the candidate waits for review")
        await self.client.reviews.ApproveReview(review.ApproveReviewRequest(review_id=waiting.id))

        async def promoted() -> skills.Skill | None:
            listed = await self.client.skills.ListSkills(skills.ListSkillsRequest(page_size=500))
            return next((each for each in listed.skills if each.name == name), None)

        return await eventually(promoted, "the skill is promoted")

    async def publish(self, *payloads: event_pb2.TaskEvent | event_pb2.SkillExecutionEvent) -> None:
        await self.client.events.Publish(
            event_service_pb2.PublishRequest(events=[make_event(each, agent_id=each.agent_id) for each in payloads])
        )

    async def slow_run(self, skill: skills.Skill, agent_id: str, rest: str = "", version: str = "1.0.0") -> str:
        execution_id = f"run-{uuid.uuid4().hex}"
        await self.publish(
            event_pb2.SkillExecutionEvent(
                execution_id=execution_id, agent_id=agent_id, skill_id=skill.id, skill_name=skill.name,
                execution_seconds=7.5, success=True, call=BIG.format(name=skill.name, rest=rest),
                skill_version=version,
            )
        )  # fmt: skip
        return execution_id

    async def waiting_review(self, agent_id: str) -> review.Review | None:
        listed = await self.client.reviews.ListReviews(
            review.ListReviewsRequest(state=review.REVIEW_STATE_WAITING, page_size=200)
        )
        return next((each for each in listed.reviews if each.agent_id == agent_id), None)

    async def opportunity(self, agent_id: str) -> evolver.Opportunity | None:
        listed = await self.client.evolver.ListOpportunities(evolver.ListOpportunitiesRequest(page_size=200))
        return next((each for each in listed.opportunities if each.agent_id == agent_id), None)

    async def mutations(self, skill_id: str) -> list[evolver.ToolMutation]:
        listed = await self.client.evolver.ListMutations(evolver.ListMutationsRequest(skill_id=skill_id))
        return list(listed.mutations)

    async def mutation_where(
        self, skill_id: str, holds: Callable[[evolver.ToolMutation], bool]
    ) -> evolver.ToolMutation | None:
        return next((each for each in await self.mutations(skill_id) if holds(each)), None)

    async def get_skill(self, skill_id: str) -> skills.Skill:
        return (await self.client.skills.GetSkill(skills.GetSkillRequest(skill_id=skill_id))).skill

    async def version(self, skill_id: str, version: str) -> skills.Skill | None:
        skill = await self.get_skill(skill_id)
        return skill if skill.active.version == version else None


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def workspace(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Workspace]:
    settings = {
        "AUTODEV_LEARNING_COMPARISON_SECONDS": "8",
        "AUTODEV_LEARNING_MUTATION_SECONDS": "8",
        "AUTODEV_LEARNING_CANARY_GOOD_RUNS": str(GOOD_RUNS),
        "AUTODEV_LEARNING_CANARY_SHARE": "1",
    }
    async with Mesh(tmp_path_factory.mktemp("evolution"), settings=settings) as mesh, mesh.client() as client:
        space = Workspace(mesh, client)
        await space.configure()
        yield space


AUTONOMOUS, SUPERVISED, INTERN = (
    capability.MATURITY_LEVEL_AUTONOMOUS,
    capability.MATURITY_LEVEL_SUPERVISED,
    capability.MATURITY_LEVEL_INTERN,
)


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
    assert 0 < mutation.time_ratio < 0.5
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
