"""The first loop: agents fail, and what they failed at becomes skills."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from autodev.capability.v1 import capability_service_pb2
from autodev.gateway.v1 import event_pb2, event_service_pb2
from autodev.learning.v1 import review_service_pb2, skill_service_pb2
from autodev_cli import workspace
from autodev_cli.demo.story import Story
from autodev_cli.episodes import Attempt, Task, event_of
from autodev_cli.narration import kind_of
from autodev_cli.output import one_line
from autodev_cli.replay.progress import Ending, Learnt, Progress
from autodev_cli.watch import EventWatch
from autodev_sdk import AutoDevClient, uuid7
from autodev_sdk.literals import matches

PATIENCE_S = 120.0
"""How long nothing may happen before the demonstration says what did not come."""
_TOLD = ("failure_pattern_detected", "candidate_generated", "candidate_validated", "skill_promoted")


@dataclass(frozen=True)
class SkillMade:
    """A skill that came of failures. `runs_right`: whether it gave what was expected where the agent had failed."""

    task_id: str
    agent_id: str
    skill_id: str
    skill_name: str
    proposer: str
    call: str
    result: str
    runs_right: bool
    seconds: float


@dataclass(frozen=True)
class MementoOutcome:
    """How the first loop went. `unsolved`: what came of no skill, and why."""

    tasks: int
    skills: tuple[SkillMade, ...]
    unsolved: dict[str, str]

    @property
    def closed(self) -> bool:
        """Whether failures became skills, and all of these run right."""
        return bool(self.skills) and all(each.runs_right for each in self.skills)


def of_this_run(
    tasks: Mapping[str, Task], attempts: Sequence[Attempt], slow_task: str
) -> tuple[dict[str, Task], list[Attempt]]:
    """The sample under names of this run, so that the demonstration can be had again on the same mesh.

    The slow task's program is this run's own, too: one that an earlier run had made faster would be recognised as the
    skill that it became, which is slow no more.
    """
    run = secrets.token_hex(2)
    own = {**tasks, slow_task: replace(tasks[slow_task], description=f"{tasks[slow_task].description} ({run})")}
    renamed = [
        replace(
            each,
            agent_id=f"{each.agent_id}-{run}",
            episode_id=f"demo-{run}-{each.episode_id}",
            code=f"# As {each.agent_id}-{run} wrote it.\n{each.code}" if each.task_id == slow_task else each.code,
        )
        for each in attempts
    ]
    return own, renamed


async def memento_loop(
    mesh: AutoDevClient, tasks: Mapping[str, Task], attempts: Sequence[Attempt], story: Story
) -> MementoOutcome:
    """Report the attempts and follow what comes of them, approving as a reviewer would."""
    failing = {each.agent_id: each.task_id for each in attempts if each.failed}
    progress = Progress(failing, Ending.PROMOTION)
    level = capability_service_pb2.MATURITY_LEVEL_INTERN
    await workspace.set_maturity(mesh, failing, level, "demonstration")

    def heard(event: event_pb2.Event) -> None:
        progress.take(event)
        if event.agent_id in failing and kind_of(event) in _TOLD:
            story.event(event)

    async with EventWatch(mesh, heard).watching() as watch:
        await _report(mesh, tasks, attempts, story)
        shown: set[str] = set()
        while progress.undone():
            await _review(mesh, progress, shown, story)
            if progress.undone() and await watch.quiet(PATIENCE_S):
                break
    skills = [await _use(mesh, tasks[each.task_id], each, story) for each in progress.patterns.values() if each.skill]
    return MementoOutcome(len(set(failing.values())), tuple(skills), _unsolved(progress))


async def _report(mesh: AutoDevClient, tasks: Mapping[str, Task], attempts: Sequence[Attempt], story: Story) -> None:
    """Successes of other agents first: they are the cases of the case bank."""
    in_order = sorted(attempts, key=lambda attempt: attempt.failed)
    events = [event_of(tasks[each.task_id], each) for each in in_order]
    await mesh.events.Publish(event_service_pb2.PublishRequest(events=events))
    for each in in_order:
        if each.failed:
            story.step("failure", each.agent_id, one_line(each.error_trace.strip().splitlines()[-1], 100))


async def _review(mesh: AutoDevClient, progress: Progress, shown: set[str], story: Story) -> None:
    """Approve what asks for it: in full the first of each proposer, the others by what speaks for them."""
    waiting, progress.to_approve = progress.to_approve, []
    for review_id in waiting:
        review = (await mesh.reviews.GetReview(review_service_pb2.GetReviewRequest(review_id=review_id))).review
        story.step("review", review.agent_id, f"{one_line(review.title, 80)}")
        learnt = next(each for each in progress.patterns.values() if each.review_id == review_id)
        if learnt.proposer not in shown:
            shown.add(learnt.proposer)
            story.code(review.code)
            story.evidence(review.evidence)
        else:
            story.note(f"autodev review show {review_id}")
        request = review_service_pb2.ApproveReviewRequest(review_id=review_id, reason="every example passes")
        decided = (await mesh.reviews.ApproveReview(request)).review
        story.step("decided", review.agent_id, f"approved by {decided.reviewer}: {decided.reason}")


async def _use(mesh: AutoDevClient, task: Task, learnt: Learnt, story: Story) -> SkillMade:
    """Run the skill where the agent had failed: on the task's last held-out example."""
    assert learnt.skill is not None
    test = [test for index, test in enumerate(task.tests) if task.is_held_out(index)][-1]
    request = skill_service_pb2.ExecuteSkillRequest(
        request_id=uuid7(), skill_id=learnt.skill.skill_id, agent_id=learnt.agent_id, call=test.call
    )
    answer = await mesh.skills.ExecuteSkill(request)
    gave = answer.result_literal if answer.success else one_line(answer.error)
    story.step("runs", learnt.agent_id, f"{test.call} → {gave}")
    return SkillMade(
        task_id=task.task_id,
        agent_id=learnt.agent_id,
        skill_id=learnt.skill.skill_id,
        skill_name=learnt.skill.skill_name,
        proposer=learnt.proposer,
        call=test.call,
        result=gave,
        runs_right=answer.success and matches(answer.result_literal, test.expect),
        seconds=learnt.seconds or 0.0,
    )


def _unsolved(progress: Progress) -> dict[str, str]:
    reasons = dict.fromkeys(progress.expected, "no failure pattern came")
    for each in progress.patterns.values():
        awaited = each.awaits(Ending.PROMOTION)
        failed = each.validation is not None and not each.validation.passed
        reasons[each.agent_id] = each.given_up or (
            "the candidate failed held-out examples" if failed else f"{awaited} did not come" if awaited else ""
        )
    return {progress.expected[agent]: reason for agent, reason in reasons.items() if reason}
