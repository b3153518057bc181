"""Driving the evolution loop from a test, as a client does it: agents with skills of their own, and runs of them."""

import uuid
from collections.abc import Callable

from autodev.capability.v1 import capability_service_pb2 as capability
from autodev.gateway.v1 import event_pb2, event_service_pb2
from autodev.learning.v1 import evolver_service_pb2 as evolver
from autodev.learning.v1 import review_service_pb2 as review
from autodev.learning.v1 import skill_service_pb2 as skills
from autodev_sdk import AutoDevClient, make_event
from tests.mesh import Mesh, eventually

AUTONOMOUS, SUPERVISED, INTERN = (
    capability.MATURITY_LEVEL_AUTONOMOUS,
    capability.MATURITY_LEVEL_SUPERVISED,
    capability.MATURITY_LEVEL_INTERN,
)
QUICK = {
    "AUTODEV_SANDBOX_LEVELS": "namespace",
    "AUTODEV_LEARNING_COMPARISON_SECONDS": "8",
    "AUTODEV_LEARNING_MUTATION_SECONDS": "8",
}
"""Settings of a mesh whose mutations are not measured for long, in the sandbox that is made soonest."""
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
    """A tenant's workspace in a mesh, with agents and skills of its own for each test."""

    def __init__(self, mesh: Mesh, client: AutoDevClient) -> None:
        self.mesh = mesh
        self.client = client

    async def configure(
        self, *, auto_promote: bool = False, mutations_a_day: int = 1000, canary_percent: int = 0
    ) -> None:
        settings = capability.WorkspaceSettings(
            enabled=True,
            memento_skills=True,
            alpha_evolver=True,
            background_evolution=True,
            max_mutations_per_day=mutations_a_day,
            max_skill_candidates_per_day=1000,
            auto_promote=auto_promote,
            canary_percent=canary_percent,
        )
        await self.client.capability.UpdateWorkspaceSettings(
            capability.UpdateWorkspaceSettingsRequest(settings=settings)
        )

    async def agent(self, level: "capability.MaturityLevel.ValueType") -> str:
        agent_id = f"agent-{uuid.uuid4().hex[:8]}"
        await self.set_level(agent_id, level)
        return agent_id

    async def set_level(self, agent_id: str, level: "capability.MaturityLevel.ValueType") -> None:
        await self.client.capability.SetMaturity(
            capability.SetMaturityRequest(agent_id=agent_id, maturity=level, reason="test")
        )

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
