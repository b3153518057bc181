"""The second loop: a skill that runs slowly is rewritten."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from autodev.capability.v1 import capability_service_pb2
from autodev.learning.v1 import evolver_service_pb2, review_service_pb2, skill_service_pb2
from autodev_cli import workspace
from autodev_cli.demo.memento import SkillMade
from autodev_cli.demo.story import Story
from autodev_cli.narration import kind_of
from autodev_cli.watch import EventWatch
from autodev_sdk import AutoDevClient, payload_of, uuid7

SLOW_TASK = "unique_items"
"""The sample's task whose skill is quadratic."""
TRIGGER_S = 5.0
AIM_S = 6.0
LONGEST_RUN_S = 30.0
FIRST_ITEMS = 6_000
MOST_ITEMS = 500_000
LEAST_GROWTH = 1.5
MOST_TRIES = 4
STEP_TIMEOUT_S = 180.0


class StepMissing(Exception):
    """A step of the loop did not come, or came out wrong. Its text says which."""


@dataclass(frozen=True)
class EvolverOutcome:
    """How the second loop went."""

    skill_name: str
    call: str
    before_s: float
    after_s: float
    version: str
    fitness_delta: float
    time_ratio: float
    diff: str

    @property
    def speed_up(self) -> float:
        """How many times as fast the new version runs."""
        return self.before_s / max(self.after_s, 1e-6)


async def evolver_loop(mesh: AutoDevClient, skill: SkillMade, story: Story) -> EvolverOutcome:
    """Run the skill on so much that it is slow, as an autonomous agent, and follow what comes of it.

    Raises StepMissing.
    """
    agent = skill.agent_id
    level = capability_service_pb2.MATURITY_LEVEL_AUTONOMOUS
    await workspace.set_maturity(mesh, [agent], level, "demonstration")
    await _make_room(mesh, agent, story)
    story.step("trusted", agent, "is AUTONOMOUS now: its slow skills are improved without being asked")
    async with EventWatch(mesh).watching() as watch:
        before = await _slow_run(mesh, skill, story)
        review = await _follow(mesh, watch, skill, story)
        await _approve(mesh, review, story)
        promoted = await _next(watch, "skill_promoted", lambda said: said.subject_id == review.subject_id, story)
        after = await _run(mesh, skill, before.call)
        if not after.answer.success:
            raise StepMissing(f"version {promoted.version} failed: {after.answer.error}")
        if after.answer.result_literal != before.answer.result_literal:
            raise StepMissing(f"version {promoted.version} gave {after.answer.result_literal}")
    outcome = EvolverOutcome(
        skill.skill_name,
        before.call,
        before.answer.execution_seconds,
        after.answer.execution_seconds,
        after.answer.skill_version,
        review.fitness_delta,
        await _time_ratio(mesh, review.subject_id),
        review.diff,
    )
    story.step("runs", agent, f"{before.call} → {after.answer.result_literal}, {outcome.after_s:.3f} s")
    return outcome


@dataclass(frozen=True)
class _Run:
    call: str
    answer: skill_service_pb2.ExecuteSkillResponse


async def _run(mesh: AutoDevClient, skill: SkillMade, call: str) -> _Run:
    request = skill_service_pb2.ExecuteSkillRequest(
        request_id=uuid7(), skill_id=skill.skill_id, agent_id=skill.agent_id, call=call
    )
    request.timeout.FromSeconds(int(LONGEST_RUN_S))
    return _Run(call, await mesh.skills.ExecuteSkill(request))


async def _slow_run(mesh: AutoDevClient, skill: SkillMade, story: Story) -> _Run:
    """A run above the limit of 5 s: the size is found by running, since machines differ."""
    items = FIRST_ITEMS
    for _ in range(MOST_TRIES):
        run = await _run(mesh, skill, f"len(unique(list(range({items}))))")
        seconds = run.answer.execution_seconds
        if not run.answer.success:
            raise StepMissing(f"{run.call} failed: {run.answer.error}")
        story.step("run", skill.agent_id, f"{run.call} → {run.answer.result_literal}, {seconds:.2f} s")
        if seconds > TRIGGER_S:
            return run
        # Its time grows with the square of the items; and the machine may have been at something else as well.
        growth = max(LEAST_GROWTH, math.sqrt(AIM_S / max(seconds, 1e-3)))
        items = min(MOST_ITEMS, math.ceil(items * growth / 1000) * 1000)
    raise StepMissing(f"no run took more than {TRIGGER_S:g} s: {skill.skill_name} is not slow on this machine")


async def _follow(mesh: AutoDevClient, watch: EventWatch, skill: SkillMade, story: Story) -> review_service_pb2.Review:
    """From the slow run to the review of the rewrite."""
    await _next(watch, "optimization_triggered", lambda said: said.skill_id == skill.skill_id, story)
    generated = await _next(watch, "mutation_generated", lambda said: said.skill_id == skill.skill_id, story)
    if generated.failure_reason:
        raise StepMissing(f"no rewrite was found: {generated.failure_reason}")
    mutation_id = generated.mutation_id
    executed = await _next(watch, "mutation_executed", lambda said: said.mutation_id == mutation_id, story)
    if not executed.passed:
        raise StepMissing(f"the rewrite does not do the same: {executed.execution_error}")
    compared = await _next(watch, "variants_compared", lambda said: said.mutation_id == mutation_id, story)
    if not compared.wins:
        raise StepMissing("the rewrite is not better than the original")
    asked = await _next(watch, "review_requested", lambda said: said.subject_id == mutation_id, story)
    return (await mesh.reviews.GetReview(review_service_pb2.GetReviewRequest(review_id=asked.review_id))).review


async def _next(watch: EventWatch, kind: str, about: Callable[..., bool], story: Story) -> Any:
    """The payload of the event that must come next."""
    event = await watch.first(lambda each: kind_of(each) == kind and about(payload_of(each)), STEP_TIMEOUT_S)
    if event is None:
        raise StepMissing(f"no {kind} within {STEP_TIMEOUT_S:g} s")
    story.event(event)
    return payload_of(event)


async def _approve(mesh: AutoDevClient, review: review_service_pb2.Review, story: Story) -> None:
    story.code(review.diff, "diff")
    story.evidence(review.evidence)
    request = review_service_pb2.ApproveReviewRequest(review_id=review.id, reason="the same results, and faster")
    decided = (await mesh.reviews.ApproveReview(request)).review
    story.step("decided", review.agent_id, f"approved by {decided.reviewer}: {decided.reason}")


async def _time_ratio(mesh: AutoDevClient, mutation_id: str) -> float:
    request = evolver_service_pb2.GetMutationRequest(mutation_id=mutation_id)
    return (await mesh.evolver.GetMutation(request)).mutation.time_ratio


async def _make_room(mesh: AutoDevClient, agent: str, story: Story) -> None:
    """Have one more rewrite allowed today, where earlier demonstrations used the limit up."""
    request = capability_service_pb2.CheckCapabilityRequest(agent_id=agent, capability="auto_dev.alpha_evolver")
    check = await mesh.capability.CheckCapability(request)
    if check.reason == capability_service_pb2.DENIAL_REASON_LIMIT:
        await workspace.raise_mutation_limit(mesh, check.used + 1)
        story.note(f"the workspace's limit of {check.limit} rewrites a day was met: it is {check.used + 1} now")
