"""MementoService over real sockets: the loop's steps by hand, and what happens when a service is away."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import grpc
import pytest
import pytest_asyncio

from autodev.capability.v1 import capability_service_pb2 as capability
from autodev.gateway.v1 import event_pb2
from autodev.learning.v1 import memento_service_pb2 as pb
from autodev.learning.v1 import review_service_pb2 as reviews
from autodev.learning.v1 import skill_service_pb2 as skills
from autodev_sdk import AutoDevClient
from tests.loop import (
    EXAMPLES,
    FAILED,
    PROMOTED,
    RIGHT,
    VALIDATED,
    WRONG,
    attempt,
    candidate_in,
    candidates_of,
    let_learn,
    patterns_of,
    publish,
    status_of,
)
from tests.mesh import Mesh, eventually
from tests.storage import Storages

pytestmark = pytest.mark.asyncio(loop_scope="module")

MEMENTO_SKILLS = "auto_dev.memento_skills"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(storages: Storages, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Mesh]:
    settings = {"AUTODEV_SANDBOX_LEVELS": "namespace,container", "AUTODEV_LEARNING_PROPOSAL_SECONDS": "10"}
    with storages.new(tmp_path_factory.mktemp("memento")) as storage:
        async with Mesh(storage.directory, settings=settings | storage.settings) as started:
            yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(mesh: Mesh) -> AsyncIterator[AutoDevClient]:
    async with mesh.client() as connected:
        await let_learn(connected)
        await publish(connected, attempt("helper", RIGHT, outcome=event_pb2.OUTCOME_SUCCESS))
        yield connected


@pytest.fixture
def agent() -> str:
    """An agent that no other test has."""
    return f"agent-{uuid4().hex[:8]}"


async def failing_episode(client: AutoDevClient, event: event_pb2.Event) -> str:
    """One failure of an agent, too few for a pattern, that learning knows of."""
    await publish(client, event)
    episode_id = event.task_failed.episode_id

    async def look() -> bool:
        try:
            await client.memento.AnalyzeEpisode(pb.AnalyzeEpisodeRequest(episode_id=episode_id))
        except grpc.aio.AioRpcError:
            return False
        return True

    await eventually(look, "the episode is known")
    return episode_id


async def used_today(client: AutoDevClient, agent: str) -> int:
    answer = await client.capability.CheckCapability(
        capability.CheckCapabilityRequest(agent_id=agent, capability=MEMENTO_SKILLS)
    )
    return int(answer.used)


async def test_an_analysis_tells_two_of_three_examples(client: AutoDevClient, agent: str) -> None:
    await let_learn(client, agent)
    episode_id = await failing_episode(client, attempt(agent, WRONG))
    failure = (await client.memento.AnalyzeEpisode(pb.AnalyzeEpisodeRequest(episode_id=episode_id))).failure
    assert [example.call for example in failure.visible_examples] == [EXAMPLES[n][0] for n in (0, 1, 3, 4)]
    assert failure.held_out_examples == 2
    assert list(failure.episode_ids) == [episode_id]


async def test_a_step_by_hand_is_made_once_a_request(client: AutoDevClient, agent: str) -> None:
    await let_learn(client, agent, proposers=["case_bank"])
    episode_id = await failing_episode(client, attempt(agent, WRONG))
    request = pb.ProposeCodeChangeRequest(request_id="r" * 128, episode_id=episode_id)
    both = await asyncio.gather(client.memento.ProposeCodeChange(request), client.memento.ProposeCodeChange(request))
    assert both[0].candidate.id == both[1].candidate.id
    assert await used_today(client, agent) == 1
    validation = pb.ValidateCandidateRequest(candidate_id=both[0].candidate.id)
    validated = (await client.memento.ValidateCandidate(validation)).candidate
    assert validated.validation_status == VALIDATED
    assert (await client.memento.ValidateCandidate(validation)).candidate == validated


async def test_who_reviews_sees_all_that_would_run(client: AutoDevClient, agent: str) -> None:
    await let_learn(client, agent, proposers=["case_bank"])
    preamble = "def sum(values):\n    return -1\n"
    event = attempt(agent, WRONG, examples=[("even_sum([1])", "-1"), ("even_sum([1, 2])", "-1")])
    event.task_failed.preamble = preamble
    episode_id = await failing_episode(client, event)
    proposed = await client.memento.ProposeCodeChange(
        pb.ProposeCodeChangeRequest(request_id=agent, episode_id=episode_id)
    )
    validation = pb.ValidateCandidateRequest(candidate_id=proposed.candidate.id)
    candidate = (await client.memento.ValidateCandidate(validation)).candidate
    assert (candidate.preamble, candidate.validation_status) == (preamble, VALIDATED)
    shown = await client.reviews.GetReview(reviews.GetReviewRequest(review_id=candidate.review_id))
    assert shown.review.preamble == preamble
    approval = reviews.ApproveReviewRequest(review_id=candidate.review_id)
    assert (await client.reviews.ApproveReview(approval)).review.preamble == preamble
    promoted = await candidate_in(client, agent, PROMOTED)
    skill = (await client.skills.GetSkill(skills.GetSkillRequest(skill_id=promoted.skill_id))).skill
    assert (skill.active.preamble, skill.active.code) == (preamble, shown.review.code)


async def test_the_days_limit_is_an_error_of_a_step_by_hand(client: AutoDevClient, agent: str) -> None:
    await let_learn(client, agent, proposers=["case_bank"], candidates=1)
    episode_id = await failing_episode(client, attempt(agent, WRONG))
    await client.memento.ProposeCodeChange(pb.ProposeCodeChangeRequest(request_id=f"1{agent}", episode_id=episode_id))
    second = pb.ProposeCodeChangeRequest(request_id=f"2{agent}", episode_id=episode_id)
    assert await status_of(client.memento.ProposeCodeChange(second)) == "RESOURCE_EXHAUSTED"


async def test_a_proposer_that_nobody_knows_leaves_a_failed_candidate(client: AutoDevClient, agent: str) -> None:
    await let_learn(client, agent, proposers=["oracle"])
    episode_id = await failing_episode(client, attempt(agent, WRONG))
    answer = await client.memento.ProposeCodeChange(
        pb.ProposeCodeChangeRequest(request_id=agent, episode_id=episode_id)
    )
    assert answer.candidate.validation_status == FAILED
    assert "oracle" in answer.candidate.validation_result.failure_reason


async def test_what_is_not_there_is_not_found(client: AutoDevClient) -> None:
    nothing = pb.ProposeCodeChangeRequest(request_id="r", episode_id="nothing")
    assert await status_of(client.memento.ProposeCodeChange(nothing)) == "NOT_FOUND"
    assert await status_of(client.memento.GetCandidate(pb.GetCandidateRequest(candidate_id="nothing"))) == "NOT_FOUND"
    page = pb.ListCandidatesRequest(page_token="nonsense!")
    assert await status_of(client.memento.ListCandidates(page)) == "INVALID_ARGUMENT"


async def test_pages_hold_each_candidate_once(client: AutoDevClient, agent: str) -> None:
    await let_learn(client, agent, proposers=["case_bank"])
    episode_id = await failing_episode(client, attempt(agent, WRONG))
    for number in range(3):
        request = pb.ProposeCodeChangeRequest(request_id=f"{agent}-{number}", episode_id=episode_id)
        await client.memento.ProposeCodeChange(request)
    seen: list[str] = []
    token = ""
    while True:
        page = await client.memento.ListCandidates(
            pb.ListCandidatesRequest(agent_id=agent, page_size=2, page_token=token)
        )
        seen += [candidate.id for candidate in page.candidates]
        token = page.next_page_token
        if not token:
            break
    assert len(seen) == len(set(seen)) == 3
    assert seen == sorted(seen, reverse=True)


@pytest.mark.parametrize("away", ["sandbox", "capability"])
async def test_the_loop_waits_for_a_service_that_is_away_and_goes_on_once(
    mesh: Mesh, client: AutoDevClient, agent: str, away: str
) -> None:
    await let_learn(client, agent, proposers=["case_bank"])
    mesh.kill(away)
    await publish(client, attempt(agent, WRONG), attempt(agent, WRONG))
    if away == "sandbox":
        await eventually(lambda: patterns_of(client, agent), "the pattern")
    assert await candidates_of(client, agent) == []
    await mesh.start(away)
    candidate = await candidate_in(client, agent, VALIDATED)
    assert candidate.provenance.proposer == "case_bank"
    assert await used_today(client, agent) == 1
    assert len(await candidates_of(client, agent)) == 1


async def start_long_proposal(client: AutoDevClient, agent: str) -> None:
    """Have a search at work that takes all its time: nothing near the program is right."""
    await let_learn(client, agent, proposers=["search"])
    task = f"Guess what {agent} wants: guess(n)"
    examples = [(f"guess({n})", str(n**5 % 97 - 3)) for n in range(12)]
    wrong = "def guess(n):\n    return n\n"
    await publish(client, *(attempt(agent, wrong, task, examples=examples) for _ in range(2)))

    async def reserved() -> bool:
        return await used_today(client, agent) == 1

    await eventually(reserved, "the proposal is at work")
    assert await candidates_of(client, agent) == []


async def test_learning_killed_while_it_proposes_makes_one_candidate(
    mesh: Mesh, client: AutoDevClient, agent: str
) -> None:
    await start_long_proposal(client, agent)
    mesh.kill("learning")
    await mesh.start("learning")
    await candidate_in(client, agent, FAILED)
    assert await used_today(client, agent) == 1
    assert len(await candidates_of(client, agent)) == 1
    assert len(await patterns_of(client, agent)) == 1


async def test_a_drain_gives_a_proposal_back_and_the_next_start_makes_it(
    mesh: Mesh, client: AutoDevClient, agent: str
) -> None:
    await start_long_proposal(client, agent)
    assert await mesh.stop("learning") == 0
    assert await used_today(client, agent) == 0
    await mesh.start("learning")
    await candidate_in(client, agent, FAILED)
    assert await used_today(client, agent) == 1
    assert len(await candidates_of(client, agent)) == 1
