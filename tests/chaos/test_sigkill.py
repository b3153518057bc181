"""Kill any one service in the middle of a loop and start it again: the loop completes, once.

The kill comes at a seeded moment after the loop's first event; over the seeds it falls on every step. Events are
counted in the log afterwards: each step of a loop must be there exactly once.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import pytest_asyncio

from autodev.capability.v1 import capability_service_pb2 as capability
from autodev.gateway.v1 import event_pb2, event_service_pb2
from autodev.learning.v1 import review_service_pb2, skill_service_pb2
from autodev_sdk import AutoDevClient, make_event
from tests.mesh import SERVICES, Mesh, eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

SEEDS = (1, 2, 3)
LATEST_KILL_S = 1.5
DONE_S = 90.0
SETTLE_S = 1.0

MEMENTO_STEPS = (
    "failure_pattern_detected",
    "candidate_generated",
    "candidate_validated",
    "review_requested",
    "review_decided",
    "skill_promoted",
)
EVOLUTION_STEPS = (
    "optimization_triggered",
    "mutation_generated",
    "mutation_executed",
    "variants_compared",
    "review_requested",
    "review_decided",
    "skill_promoted",
)

WRONG = "def last_{n}(items):\n    return items[0]\n"
RIGHT = "def last_{n}(items):\n    return items[-1]\n"
SLOW = """def distinct_{n}(items):
    seen = []
    for item in items:
        if item not in seen:
            seen.append(item)
    return seen
"""
SLOW_WRONG = "def distinct_{n}(items):\n    return items\n"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Mesh]:
    settings = {"AUTODEV_SANDBOX_LEVELS": "namespace", "AUTODEV_LEARNING_COMPARISON_SECONDS": "5"}
    async with Mesh(tmp_path_factory.mktemp("chaos"), settings=settings) as started, started.client() as client:
        await _enable(client)
        yield started


async def _enable(client: AutoDevClient) -> None:
    settings = capability.WorkspaceSettings(
        enabled=True,
        memento_skills=True,
        alpha_evolver=True,
        background_evolution=True,
        max_mutations_per_day=1000,
        max_skill_candidates_per_day=1000,
    )
    await client.capability.UpdateWorkspaceSettings(capability.UpdateWorkspaceSettingsRequest(settings=settings))


async def _trust(client: AutoDevClient, agent: str) -> None:
    await client.capability.SetMaturity(
        capability.SetMaturityRequest(agent_id=agent, maturity=capability.MATURITY_LEVEL_AUTONOMOUS, reason="test")
    )


async def _until_up(call: Any) -> Any:
    """Make a call again until the killed service is back; safe, since every call here may be repeated."""

    async def attempt() -> Any:
        try:
            return await call()
        except grpc.aio.AioRpcError as error:
            if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                return None
            raise

    return await eventually(attempt, "the mesh answers again", DONE_S)


def _attempts(name: str, agent: str, number: str, wrong: str, right: str, calls: list[tuple[str, str]]) -> list[Any]:
    examples = [event_pb2.Example(call=call.format(n=number), expected=expected) for call, expected in calls]
    common: dict[str, Any] = {"task_description": f"{name} {number}", "examples": examples}
    success = event_pb2.TaskEvent(
        episode_id=f"{agent}-ok",
        agent_id=f"{agent}-peer",
        outcome=event_pb2.OUTCOME_SUCCESS,
        code=right.format(n=number),
        **common,
    )
    failures = [
        event_pb2.TaskEvent(
            episode_id=f"{agent}-{attempt}",
            agent_id=agent,
            outcome=event_pb2.OUTCOME_FAILURE,
            code=wrong.format(n=number),
            error_trace="AssertionError: wrong value",
            **common,
        )
        for attempt in (1, 2)
    ]
    return [make_event(each, agent_id=each.agent_id, correlation_id=agent) for each in (success, *failures)]


async def _killed_during(mesh: Mesh, service: str, seed: int) -> None:
    await asyncio.sleep(random.Random(f"{service}{seed}").uniform(0, LATEST_KILL_S))
    mesh.kill(service)
    await mesh.start(service)


async def _waiting_review(client: AutoDevClient, agent: str) -> review_service_pb2.Review | None:
    reviews = await client.reviews.ListReviews(
        review_service_pb2.ListReviewsRequest(state=review_service_pb2.REVIEW_STATE_WAITING, page_size=500)
    )
    return next((review for review in reviews.reviews if review.agent_id == agent), None)


async def _approve(client: AutoDevClient, agent: str, killing: Any) -> Any:
    """Approve the agent's waiting review, with a kill under way; returns the skill's id."""
    review = await eventually(lambda: _until_up(lambda: _waiting_review(client, agent)), "a review waits", DONE_S)
    killer = asyncio.ensure_future(killing())
    await _until_up(
        lambda: client.reviews.ApproveReview(
            review_service_pb2.ApproveReviewRequest(review_id=review.id, reason="it is right")
        )
    )
    await killer
    return await eventually(
        lambda: _until_up(lambda: _promoted_skill(client, agent, review.subject_id)), "it is promoted", DONE_S
    )


async def _promoted_skill(client: AutoDevClient, agent: str, subject: str) -> str:
    events = await _events_of(client, agent)
    promoted = (event.skill_promoted for event in events if event.skill_promoted.subject_id == subject)
    return next((each.skill_id for each in promoted), "")


async def _events_of(client: AutoDevClient, agent: str) -> list[event_pb2.Event]:
    """The agent's events so far, in the log's order."""
    request = event_service_pb2.SubscribeRequest(at=event_service_pb2.START_AT_EARLIEST)
    request.filter.agent_ids.append(agent)
    request.heartbeat_interval.FromMilliseconds(200)
    events: list[event_pb2.Event] = []
    call = client.events.Subscribe(request)
    async for response in call:
        if not response.events:
            break
        events.extend(response.events)
    call.cancel()
    return events


async def _assert_once(client: AutoDevClient, agent: str, steps: tuple[str, ...]) -> None:
    # A step done twice would show a little later: give it the time to.
    await asyncio.sleep(SETTLE_S)
    kinds: Counter[str | None] = Counter(event.WhichOneof("payload") for event in await _events_of(client, agent))
    assert {step: kinds[step] for step in steps} == dict.fromkeys(steps, 1)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("service", SERVICES)
async def test_a_killed_service_delays_the_memento_loop_and_nothing_more(mesh: Mesh, service: str, seed: int) -> None:
    agent, number = f"m-{service}-{seed}", f"{service}_{seed}"
    calls = [("last_{n}([1, 2])", "2"), ("last_{n}([5])", "5"), ("last_{n}(['a', 'b', 'c'])", "'c'")]
    events = _attempts("Take the last one of", agent, number, WRONG, RIGHT, calls)
    async with mesh.client() as client:
        await _trust(client, agent)
        killer = asyncio.ensure_future(_killed_during(mesh, service, seed))
        await _until_up(lambda: client.events.Publish(event_service_pb2.PublishRequest(events=events), timeout=5))
        await killer
        await _approve(client, agent, lambda: _killed_during(mesh, service, seed + 100))
        await _assert_once(client, agent, MEMENTO_STEPS)


@pytest.mark.parametrize("service", SERVICES)
async def test_a_killed_service_delays_the_evolution_loop_and_nothing_more(mesh: Mesh, service: str) -> None:
    maker, agent, number = f"e-maker-{service}", f"e-{service}", f"{service}_e"
    calls = [("distinct_{n}([1, 2, 1])", "[1, 2]"), ("distinct_{n}([])", "[]"), ("distinct_{n}([3, 3])", "[3]")]
    async with mesh.client() as client:
        await _trust(client, maker)
        await _trust(client, agent)
        events = _attempts("Keep the first of each in", maker, number, SLOW_WRONG, SLOW, calls)
        await client.events.Publish(event_service_pb2.PublishRequest(events=events))
        skill_id = await _approve(client, maker, _nothing)
        killer = asyncio.ensure_future(_killed_during(mesh, service, 7))
        slow = _slow_run(agent, skill_id, f"distinct_{number}(list(range(3000)))")
        await _until_up(lambda: client.events.Publish(event_service_pb2.PublishRequest(events=[slow]), timeout=5))
        await killer
        assert await _approve(client, agent, lambda: _killed_during(mesh, service, 107)) == skill_id
        await _assert_once(client, agent, EVOLUTION_STEPS)
        skill = await client.skills.GetSkill(skill_service_pb2.GetSkillRequest(skill_id=skill_id))
        assert (skill.skill.active.version, skill.skill.active.parent_version) == ("1.1.0", "1.0.0")


async def _nothing() -> None:
    return


def _slow_run(agent: str, skill_id: str, call: str) -> event_pb2.Event:
    return make_event(
        event_pb2.SkillExecutionEvent(
            execution_id=f"{agent}-run",
            agent_id=agent,
            skill_id=skill_id,
            execution_seconds=7.5,
            success=True,
            call=call,
            skill_version="1.0.0",
        ),
        agent_id=agent,
        correlation_id=agent,
    )
