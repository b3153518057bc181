"""Driving the Memento loop from a test, as a client does it: report attempts, and look what comes of them."""

from collections.abc import Awaitable, Sequence
from uuid import uuid4

import grpc
import pytest

from autodev.capability.v1 import capability_service_pb2 as capability
from autodev.gateway.v1 import event_pb2, event_service_pb2
from autodev.learning.v1 import memento_service_pb2 as memento
from autodev.learning.v1 import reflection_service_pb2 as reflection
from autodev.learning.v1 import review_service_pb2 as reviews
from autodev.learning.v1 import skill_service_pb2 as skills
from autodev_sdk import AutoDevClient, make_event
from tests.mesh import eventually

PENDING, VALIDATED, FAILED, APPROVED, REJECTED, PROMOTED = range(1, 7)
TASK = "Sum the even numbers of a list: even_sum(values)"
WRONG = "def even_sum(values):\n    return sum(v for v in values if v % 2 == 1)\n"
RIGHT = "def even_sum(values):\n    return sum(v for v in values if v % 2 == 0)\n"
EXAMPLES = [("even_sum([])", "0"), ("even_sum([1, 2])", "2"), ("even_sum([2, 4])", "6"), ("even_sum([3, 8])", "8"),
            ("even_sum([7])", "0"), ("even_sum([-2, 5, 6])", "4")]  # fmt: skip
TRACE = 'Traceback (most recent call last):\n  File "task.py", line 4, in check\nAssertionError: expected 2, got 1\n'


async def let_learn(client: AutoDevClient, *agents: str, proposers: Sequence[str] = (), candidates: int = 5) -> None:
    """Turn Auto-Dev on for the client's workspace and let the agents have skills written for them."""
    settings = capability.WorkspaceSettings(
        enabled=True,
        memento_skills=True,
        alpha_evolver=True,
        background_evolution=True,
        max_mutations_per_day=10,
        max_skill_candidates_per_day=candidates,
        proposers=proposers,
    )
    await client.capability.UpdateWorkspaceSettings(capability.UpdateWorkspaceSettingsRequest(settings=settings))
    for agent in agents:
        await client.capability.SetMaturity(
            capability.SetMaturityRequest(agent_id=agent, maturity=capability.MATURITY_LEVEL_INTERN, reason="test")
        )


def attempt(
    agent: str, code: str, task: str = TASK, outcome: event_pb2.Outcome.ValueType = event_pb2.OUTCOME_FAILURE,
    examples: Sequence[tuple[str, str]] = tuple(EXAMPLES), trace: str = TRACE,
) -> event_pb2.Event:  # fmt: skip
    """An event that reports an attempt of an agent."""
    failed = outcome != event_pb2.OUTCOME_SUCCESS
    return make_event(
        event_pb2.TaskEvent(
            episode_id=f"episode-{uuid4()}",
            agent_id=agent,
            task_description=task,
            error_trace=trace if failed else "",
            outcome=outcome,
            code=code,
            examples=[event_pb2.Example(call=call, expected=expected) for call, expected in examples],
        )
    )


async def publish(client: AutoDevClient, *events: event_pb2.Event) -> None:
    await client.events.Publish(event_service_pb2.PublishRequest(events=events))


async def candidates_of(client: AutoDevClient, agent: str) -> list[memento.SkillCandidate]:
    answer = await client.memento.ListCandidates(memento.ListCandidatesRequest(agent_id=agent))
    return list(answer.candidates)


async def patterns_of(client: AutoDevClient, agent: str) -> list[reflection.FailurePattern]:
    answer = await client.reflection.ListFailurePatterns(reflection.ListFailurePatternsRequest(agent_id=agent))
    return list(answer.patterns)


async def candidate_in(client: AutoDevClient, agent: str, status: int) -> memento.SkillCandidate:
    """The agent's first candidate that reaches a status."""

    async def look() -> list[memento.SkillCandidate]:
        try:
            return [each for each in await candidates_of(client, agent) if each.validation_status == status]
        except grpc.aio.AioRpcError as error:
            # The gateway takes a moment to find a service that was started again.
            if error.code() is grpc.StatusCode.UNAVAILABLE:
                return []
            raise

    name = memento.CandidateStatus.Name(status)  # type: ignore[arg-type]
    return (await eventually(look, f"a candidate of {agent} in {name}"))[0]


async def events_of(client: AutoDevClient, agent: str) -> list[event_pb2.Event]:
    """Every event about an agent, in the log's order."""
    request = event_service_pb2.SubscribeRequest(at=event_service_pb2.START_AT_EARLIEST)
    request.filter.agent_ids.append(agent)
    request.heartbeat_interval.FromMilliseconds(200)
    events: list[event_pb2.Event] = []
    call = client.events.Subscribe(request, timeout=30)
    async for response in call:
        if not response.events:
            break
        events += response.events
    call.cancel()
    return events


def kinds(events: Sequence[event_pb2.Event]) -> list[str]:
    return [event.WhichOneof("payload") or "" for event in events]


async def status_of(call: Awaitable[object]) -> str:
    """The status that a call fails with; a call that does not is a failure of the test."""
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call
    return str(error.value.code().name)


async def promoted_skill(client: AutoDevClient, agent: str) -> skills.Skill:
    """A skill made for an agent, from its failures to its promotion, by the case bank."""
    await let_learn(client, agent, proposers=["case_bank"])
    await publish(client, attempt("helper", RIGHT, outcome=event_pb2.OUTCOME_SUCCESS))
    await publish(client, attempt(agent, WRONG), attempt(agent, WRONG))
    candidate = await candidate_in(client, agent, VALIDATED)
    await client.reviews.ApproveReview(reviews.ApproveReviewRequest(review_id=candidate.review_id))
    promoted = await candidate_in(client, agent, PROMOTED)
    return (await client.skills.GetSkill(skills.GetSkillRequest(skill_id=promoted.skill_id))).skill
