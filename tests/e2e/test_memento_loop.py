"""Agents' failures become an approved skill, by events alone, through five real services."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio
from google.protobuf.message import Message

from autodev.capability.v1 import capability_service_pb2 as capability
from autodev.gateway.v1 import event_pb2
from autodev.learning.v1 import advisor_service_pb2
from autodev.learning.v1 import memento_service_pb2 as memento
from autodev.learning.v1 import reflection_service_pb2 as reflection
from autodev.learning.v1 import review_service_pb2 as reviews
from autodev.learning.v1 import skill_service_pb2 as skills
from autodev_sdk import AutoDevClient, payload_of
from tests.loop import (
    EXAMPLES,
    FAILED,
    PROMOTED,
    REJECTED,
    RIGHT,
    VALIDATED,
    WRONG,
    attempt,
    candidate_in,
    candidates_of,
    events_of,
    kinds,
    let_learn,
    patterns_of,
    publish,
    status_of,
)
from tests.mesh import AGENT, OTHER_TENANT, Mesh, eventually


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Mesh]:
    directory: Path = tmp_path_factory.mktemp("mesh")
    async with Mesh(directory, settings={"AUTODEV_LEARNING_PROPOSAL_SECONDS": "15"}) as mesh:
        yield mesh


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def agent() -> str:
    """An agent that no other test has."""
    return f"agent-{uuid4().hex[:8]}"


async def test_failures_become_a_skill_that_agents_run(mesh: Mesh, agent: str) -> None:
    async with mesh.client() as client:
        await let_learn(client, agent, proposers=["case_bank"])
        await publish(client, attempt("helper", RIGHT, outcome=event_pb2.OUTCOME_SUCCESS))
        await publish(client, attempt(agent, WRONG), attempt(agent, WRONG))

        candidate = await candidate_in(client, agent, VALIDATED)
        assert candidate.skill_name == "even_sum"
        assert candidate.provenance.proposer == "case_bank"
        assert candidate.fitness_score == 1.0
        assert [each.held_out for each in candidate.validation_result.examples].count(True) == 2
        assert all(each.passed for each in candidate.validation_result.examples)
        assert candidate.validation_result.isolation in ("NAMESPACE", "CONTAINER", "CONTAINER_GVISOR")
        assert candidate.validation_result.generated.inputs > 0
        assert candidate.overfit == memento.OVERFIT_MARK_UNSPECIFIED

        review = (await client.reviews.GetReview(reviews.GetReviewRequest(review_id=candidate.review_id))).review
        assert "+    return sum(v for v in values if v % 2 == 0)" in review.diff
        assert "2 of 2 held-out examples pass" in review.evidence
        approved = await client.reviews.ApproveReview(
            reviews.ApproveReviewRequest(review_id=review.id, reason="it is right")
        )
        assert (approved.review.reviewer, approved.review.reason) == ("developer", "it is right")

        promoted = await candidate_in(client, agent, PROMOTED)
        skill = (await client.skills.GetSkill(skills.GetSkillRequest(skill_id=promoted.skill_id))).skill
        assert skill.active.version == "1.0.0"
        assert skill.active.approved_by == "developer"
        assert list(skill.active.entry_points) == ["even_sum"]
        assert len(skill.active.examples) == len(EXAMPLES)

        run = await client.skills.ExecuteSkill(
            skills.ExecuteSkillRequest(
                request_id=str(uuid4()), skill_id=skill.name, agent_id="another-agent", call="even_sum([2, 3, 40])"
            )
        )
        assert (run.success, run.result_literal, run.result.number_value) == (True, "42", 42)


async def test_the_loop_leaves_a_trace_of_causes_in_the_log(mesh: Mesh, agent: str) -> None:
    async with mesh.client() as client:
        await let_learn(client, agent)
        await publish(client, attempt("helper", RIGHT, outcome=event_pb2.OUTCOME_SUCCESS))
        await publish(client, attempt(agent, WRONG), attempt(agent, WRONG))
        await candidate_in(client, agent, VALIDATED)
        chain = ["task_failed", "task_failed", "failure_pattern_detected", "candidate_generated", "candidate_validated",
                 "review_requested"]  # fmt: skip

        async def look() -> list[event_pb2.Event]:
            events = [event for event in await events_of(client, agent) if not event.HasField("capability_unlocked")]
            return events if len(events) >= len(chain) else []

        events = await eventually(look, "the loop's events")
        assert kinds(events) == chain
        causes = {event.id: event for event in events}
        for event in events[2:]:
            assert event.causation_id in causes
        assert payload_of(events[2]).failure_count == 2


async def test_search_repairs_a_program_where_nobody_has_solved_the_task(mesh: Mesh, agent: str) -> None:
    async with mesh.client() as client:
        await let_learn(client, agent, proposers=["search"])
        task = "Give the greatest distance between two neighbours: widest(values)"
        wrong = "def widest(values):\n    return max(abs(a - b) for a, b in zip(values, values[2:]))\n"
        examples = [("widest([0, 9, 3])", "9"), ("widest([1, 2, 4, 8])", "4"), ("widest([1, 4])", "3"),
                    ("widest([5, 5, 1])", "4"), ("widest([7, 2, 8, 8])", "6"), ("widest([-3, 3])", "6")]  # fmt: skip
        await publish(
            client, attempt(agent, wrong, task, examples=examples), attempt(agent, wrong, task, examples=examples)
        )
        candidate = await candidate_in(client, agent, VALIDATED)
        assert candidate.provenance.proposer == "search"
        assert candidate.provenance.programs_tried > 0
        assert candidate.provenance.steps


async def test_code_that_fails_what_was_held_out_waits_for_nobody(mesh: Mesh, agent: str) -> None:
    async with mesh.client() as client:
        await let_learn(client, agent, proposers=["case_bank"])
        task = f"Give the answer for a key, as {agent} does it: answer(key)"
        learnt_by_heart = "def answer(key):\n    return {1: 1, 2: 4}.get(key)\n"
        examples = [("answer(1)", "1"), ("answer(2)", "4"), ("answer(3)", "9")]
        await publish(
            client,
            attempt("cheat", learnt_by_heart, task, event_pb2.OUTCOME_SUCCESS, examples),
            attempt(agent, "def answer(key):\n    return 0\n", task, examples=examples),
            attempt(agent, "def answer(key):\n    return 0\n", task, examples=examples),
        )
        candidate = await candidate_in(client, agent, FAILED)
        assert candidate.overfit == memento.OVERFIT_MARK_FOUND
        advised = await client.advisor.GetGuidance(advisor_service_pb2.GetGuidanceRequest())
        assert advised.data_summary.overfit_candidates >= 1
        assert advisor_service_pb2.RISK_KIND_OVERFIT in [risk.kind for risk in advised.risks]
        results = [(each.passed, each.held_out) for each in candidate.validation_result.examples]
        assert results == [(True, False), (True, False), (False, True)]
        assert candidate.review_id == ""
        assert candidate.fitness_score == pytest.approx(2 / 3)


async def settled_patterns(client: AutoDevClient, agent: str, count: int = 1) -> list[reflection.FailurePattern]:
    """The agent's patterns, once so many of them have a candidate or say why not."""

    async def look() -> list[reflection.FailurePattern]:
        patterns = await patterns_of(client, agent)
        settled = [each for each in patterns if each.candidate_id or each.skipped_reason]
        return settled if len(settled) == count else []

    return await eventually(look, f"{count} patterns of {agent} settled")


async def test_failures_without_examples_take_no_use_until_one_brings_them(mesh: Mesh, agent: str) -> None:
    async with mesh.client() as client:
        await let_learn(client, agent, proposers=["case_bank"], candidates=1)
        await publish(client, attempt("helper", RIGHT, outcome=event_pb2.OUTCOME_SUCCESS))
        events = [attempt(agent, WRONG, examples=()) for _ in range(3)]
        await publish(client, *events)
        (pattern,) = await settled_patterns(client, agent)
        assert "no examples" in pattern.skipped_reason
        assert await candidates_of(client, agent) == []
        by_hand = client.memento.ProposeCodeChange(
            memento.ProposeCodeChangeRequest(request_id="r", episode_id=events[0].task_failed.episode_id)
        )
        assert await status_of(by_hand) == "FAILED_PRECONDITION"
        await publish(client, attempt(agent, WRONG))
        candidate = await candidate_in(client, agent, VALIDATED)
        (answered,) = await patterns_of(client, agent)
        assert (answered.id, answered.candidate_id, answered.skipped_reason) == (pattern.id, candidate.id, "")
        assert kinds(await events_of(client, agent)).count("failure_pattern_detected") == 2


async def test_a_rejected_candidate_stays_rejected(mesh: Mesh, agent: str) -> None:
    async with mesh.client() as client:
        await let_learn(client, agent, proposers=["case_bank"])
        await publish(client, attempt("helper", RIGHT, outcome=event_pb2.OUTCOME_SUCCESS))
        await publish(client, attempt(agent, WRONG), attempt(agent, WRONG))
        candidate = await candidate_in(client, agent, VALIDATED)
        rejection = reviews.RejectReviewRequest(review_id=candidate.review_id, reason="too narrow")
        first = await client.reviews.RejectReview(rejection)
        again = await client.reviews.RejectReview(rejection)
        assert first == again
        approval = reviews.ApproveReviewRequest(review_id=candidate.review_id)
        assert await status_of(client.reviews.ApproveReview(approval)) == "FAILED_PRECONDITION"
        promotion = memento.PromoteCandidateRequest(candidate_id=candidate.id)
        assert await status_of(client.memento.PromoteCandidate(promotion)) == "FAILED_PRECONDITION"
        assert (await candidates_of(client, agent))[0].validation_status == REJECTED


async def test_further_failures_join_the_pattern_and_trigger_nothing(mesh: Mesh, agent: str) -> None:
    async with mesh.client() as client:
        await let_learn(client, agent, proposers=["case_bank"])
        await publish(client, *(attempt(agent, WRONG) for _ in range(2)))
        await eventually(lambda: candidates_of(client, agent), "the first candidate")
        await publish(client, *(attempt(agent, WRONG) for _ in range(3)))

        async def look() -> bool:
            patterns = await patterns_of(client, agent)
            return [len(pattern.episode_ids) for pattern in patterns] == [5]

        await eventually(look, "the failures in one pattern")
        assert len(await candidates_of(client, agent)) == 1


async def test_one_harness_for_everything_leaves_each_task_a_candidate_of_its_own(mesh: Mesh, agent: str) -> None:
    async with mesh.client() as client:
        await let_learn(client, agent, proposers=["case_bank"])
        tasks = [f"Reverse {agent} sentences", "Count vowels anywhere", "Draw seven red houses"]
        first, again = ([attempt(agent, WRONG, task) for task in tasks] for _ in range(2))
        await publish(client, *first, *again)
        patterns = await settled_patterns(client, agent, 3)
        assert {each.task_description: list(each.episode_ids) for each in patterns} == {
            task: [each.task_failed.episode_id for each in both]
            for task, *both in zip(tasks, first, again, strict=True)
        }
        assert len({each.error_signature for each in patterns}) == 1
        candidates = {each.pattern_id: each for each in await candidates_of(client, agent)}
        assert len(candidates) == 3
        for pattern in patterns:
            candidate = candidates[pattern.id]
            assert candidate.skill_description == pattern.task_description
            assert candidate.source_episode_id in pattern.episode_ids
            assert set(candidate.failure_pattern.episode_ids) <= set(pattern.episode_ids)
        assert kinds(await events_of(client, agent)).count("failure_pattern_detected") == 3


async def test_a_student_has_no_skill_written_for_it(mesh: Mesh, agent: str) -> None:
    async with mesh.client() as client:
        sibling = f"{agent}-intern"
        await let_learn(client, sibling, proposers=["case_bank"])
        await publish(client, *(attempt(agent, WRONG) for _ in range(2)), *(attempt(sibling, WRONG) for _ in range(2)))
        # The log keeps their order, so the student's were looked at before.
        await eventually(lambda: candidates_of(client, sibling), "the intern's candidate")
        assert await patterns_of(client, agent) == []


async def test_the_days_limit_ends_in_a_pattern_that_says_why_and_is_answered_another_day(
    mesh: Mesh, agent: str
) -> None:
    async with mesh.client() as client:
        await let_learn(client, agent, proposers=["case_bank"], candidates=1)
        traces = {"reverse every word": "IndexError: no\n", "count all vowels": "KeyError: no\n"}
        for task, trace in traces.items():
            await publish(client, *(attempt(agent, WRONG, task, trace=trace) for _ in range(2)))
        patterns = await settled_patterns(client, agent, 2)
        (skipped,) = [each for each in patterns if not each.candidate_id]
        assert skipped.skipped_reason
        assert len(await candidates_of(client, agent)) == 1
        await let_learn(client, agent, proposers=["case_bank"], candidates=2)

        # A permission is believed for a moment: more than one failure may come before the limit is known to be lifted.
        async def again() -> bool:
            await publish(
                client, attempt(agent, WRONG, skipped.task_description, trace=traces[skipped.task_description])
            )
            return all(each.candidate_id and not each.skipped_reason for each in await patterns_of(client, agent))

        await eventually(again, "the pattern answered")
        assert len(await candidates_of(client, agent)) == 2


async def test_another_tenant_sees_nothing(mesh: Mesh, agent: str) -> None:
    async with mesh.client() as client, mesh.client(OTHER_TENANT) as stranger:
        await let_learn(client, agent, proposers=["case_bank"])
        await publish(client, attempt("helper", RIGHT, outcome=event_pb2.OUTCOME_SUCCESS))
        await publish(client, attempt(agent, WRONG), attempt(agent, WRONG))
        candidate = await candidate_in(client, agent, VALIDATED)
        review_id = candidate.review_id
        calls: list[tuple[Callable[..., Awaitable[object]], Message]] = [
            (stranger.memento.GetCandidate, memento.GetCandidateRequest(candidate_id=candidate.id)),
            (stranger.memento.ValidateCandidate, memento.ValidateCandidateRequest(candidate_id=candidate.id)),
            (stranger.memento.PromoteCandidate, memento.PromoteCandidateRequest(candidate_id=candidate.id)),
            (stranger.memento.AnalyzeEpisode, memento.AnalyzeEpisodeRequest(episode_id=candidate.source_episode_id)),
            (
                stranger.reflection.GetFailurePattern,
                reflection.GetFailurePatternRequest(pattern_id=candidate.pattern_id),
            ),
            (stranger.reviews.GetReview, reviews.GetReviewRequest(review_id=review_id)),
            (stranger.reviews.ApproveReview, reviews.ApproveReviewRequest(review_id=review_id)),
            (stranger.reviews.RejectReview, reviews.RejectReviewRequest(review_id=review_id, reason="no")),
        ]
        for call, request in calls:
            assert await status_of(call(request)) == "NOT_FOUND"
        assert await candidates_of(stranger, agent) == []
        assert await patterns_of(stranger, agent) == []
        assert await events_of(stranger, agent) == []


async def test_deciding_needs_the_role_of_a_reviewer(mesh: Mesh, agent: str) -> None:
    async with mesh.client() as client, mesh.client(subject=AGENT) as nobody:
        await let_learn(client, agent, proposers=["case_bank"])
        await publish(client, attempt("helper", RIGHT, outcome=event_pb2.OUTCOME_SUCCESS))
        await publish(client, attempt(agent, WRONG), attempt(agent, WRONG))
        candidate = await candidate_in(client, agent, VALIDATED)
        approval = reviews.ApproveReviewRequest(review_id=candidate.review_id)
        rejection = reviews.RejectReviewRequest(review_id=candidate.review_id, reason="no")
        promotion = memento.PromoteCandidateRequest(candidate_id=candidate.id)
        rollback = skills.RollbackSkillRequest(request_id="r", skill_id="any")
        for call in (
            nobody.reviews.ApproveReview(approval),
            nobody.reviews.RejectReview(rejection),
            nobody.memento.PromoteCandidate(promotion),
            nobody.skills.RollbackSkill(rollback),
        ):
            assert await status_of(call) == "PERMISSION_DENIED"


async def test_where_the_workspace_wants_it_agents_that_are_allowed_share_a_pattern(mesh: Mesh, agent: str) -> None:
    task = f"Rotate the {agent.replace('-', ' ')} matrix"
    trusted, demoted = f"{agent}-trusted", f"{agent}-demoted"
    async with mesh.client(OTHER_TENANT) as client:
        await let_learn(client, agent, trusted, demoted)
        settings = (await client.capability.GetWorkspaceSettings(capability.GetWorkspaceSettingsRequest())).settings
        settings.cluster_failures = True
        await client.capability.UpdateWorkspaceSettings(capability.UpdateWorkspaceSettingsRequest(settings=settings))

        await publish(client, attempt(demoted, WRONG, task, trace=""))
        # Events of an agent are taken in order: that these made a pattern shows that the first is kept.
        other = f"Parse {agent}"
        await publish(client, *(attempt(demoted, WRONG, other, trace="") for _ in range(2)))
        await eventually(lambda: patterns_of(client, demoted), "the demoted agent's failures are kept")
        level = capability.SetMaturityRequest(agent_id=demoted, maturity=capability.MATURITY_LEVEL_STUDENT)
        await client.capability.SetMaturity(level)

        await publish(client, attempt(agent, WRONG, task, trace=""))
        await publish(client, attempt(trusted, WRONG, task, trace=""))

        async def shared() -> list[reflection.FailurePattern]:
            return [*await patterns_of(client, agent), *await patterns_of(client, trusted)]

        (pattern,) = await eventually(shared, "a pattern of both")
        assert sorted(pattern.agent_ids) == sorted([agent, trusted])
        assert pattern.failure_count == 2
