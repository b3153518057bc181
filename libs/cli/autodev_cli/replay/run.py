"""One replay: traces, publishing, waiting for what is learnt, approving, checking. Public RPCs only."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from autodev.capability.v1 import capability_service_pb2
from autodev.gateway.v1 import event_service_pb2
from autodev.learning.v1 import memento_service_pb2, reflection_service_pb2, review_service_pb2, skill_service_pb2
from autodev_cli import workspace
from autodev_cli.episodes import Attempt, Task, TaskTest, event_of, of_task
from autodev_cli.replay.dealing import PATTERN_THRESHOLD, deal
from autodev_cli.replay.progress import Ending, Learnt, Progress
from autodev_cli.replay.results import SkillCheck, TaskResult, TaskRun, result_of
from autodev_cli.traces import PROGRAMS_AT_A_TIME, UNKNOWN, traces_of
from autodev_cli.watch import EventWatch
from autodev_sdk import AutoDevClient, uuid7
from autodev_sdk.ending import results_of
from autodev_sdk.literals import matches

AT_A_TIME = 4
BATCH = 20
MOST_CALL_CHARACTERS = 16_000
LOOK_AGAIN_S = 2.0
WITHOUT_CASE_BANK = ("search", "crossover")

Said = Callable[[str, int, int], None]
"""Called as a phase goes on: its name, how much is done, of how much."""
Given = TypeVar("Given")
Made = TypeVar("Made")


@dataclass(frozen=True)
class ReplayOptions:
    """How to replay. `patience_s`: how long nothing may happen before the rest is given up."""

    agents_per_task: int = 10
    case_bank: bool = True
    ending: Ending = Ending.PROMOTION
    patience_s: float = 120.0


@dataclass(frozen=True)
class ReplayResult:
    """What a replay found. `undone`: what had not come when patience ended; `unexplained`: failures whose failing
    example was not found."""

    tasks: tuple[TaskResult, ...]
    undone: tuple[str, ...]
    unexplained: int
    trace_s: float
    total_s: float


async def replay(
    mesh: AutoDevClient, tasks: Mapping[str, Task], attempts: Sequence[Attempt], options: ReplayOptions, said: Said
) -> ReplayResult:
    """Report the attempts, and wait for what is learnt. The workspace's settings are put back in the end."""
    started = time.monotonic()
    traced, unexplained = await _traced(mesh, tasks, attempts, said)
    trace_s = time.monotonic() - started
    dealt = deal(traced, options.agents_per_task, f"replay-{secrets.token_hex(3)}")
    progress = Progress(_expected(dealt), options.ending)
    proposers = () if options.case_bank else WITHOUT_CASE_BANK
    async with workspace.working(mesh, proposers), EventWatch(mesh, progress.take).watching() as watch:
        level = capability_service_pb2.MATURITY_LEVEL_INTERN
        await workspace.set_maturity(mesh, progress.expected, level, "replay of recorded attempts")
        runs = await _publish(mesh, tasks, dealt, said)
        await _learnt(mesh, watch, progress, options, said)
    results = [await _result(mesh, tasks[run.task_id], run, progress.of_task(run.task_id), said) for run in runs]
    return ReplayResult(tuple(results), tuple(progress.undone()), unexplained, trace_s, time.monotonic() - started)


def _expected(dealt: Sequence[Attempt]) -> dict[str, str]:
    """The agents that failed often enough for a pattern, and the task of each."""
    failures: dict[str, list[str]] = {}
    for each in dealt:
        if each.failed:
            failures.setdefault(each.agent_id, []).append(each.task_id)
    return {agent: tasks[0] for agent, tasks in failures.items() if len(tasks) >= PATTERN_THRESHOLD}


async def _traced(
    mesh: AutoDevClient, tasks: Mapping[str, Task], attempts: Sequence[Attempt], said: Said
) -> tuple[list[Attempt], int]:
    """The attempts, failures with their traces; and how many failures showed none."""
    bare = [each for each in attempts if each.failed and not each.error_trace]
    batches = [
        batch
        for task_id in tasks
        for batch in _batches([each for each in bare if each.task_id == task_id], PROGRAMS_AT_A_TIME)
    ]

    async def traced(batch: Sequence[Attempt]) -> list[Attempt]:
        traces = await traces_of(mesh, tasks[batch[0].task_id], [each.code for each in batch])
        return [replace(each, error_trace=trace) for each, trace in zip(batch, traces, strict=True)]

    found = await _each(batches, traced, lambda done: said("batches traced", done, len(batches)))
    by_id = {each.episode_id: each for batch in found for each in batch}
    unexplained = sum(each.error_trace == UNKNOWN for each in by_id.values())
    return [by_id.get(each.episode_id, each) for each in attempts], unexplained


def _batches(given: Sequence[Given], size: int) -> Iterator[Sequence[Given]]:
    for start in range(0, len(given), size):
        yield given[start : start + size]


async def _publish(
    mesh: AutoDevClient, tasks: Mapping[str, Task], dealt: Sequence[Attempt], said: Said
) -> list[TaskRun]:
    began_at_s, started = time.time(), time.monotonic()
    published_s: dict[str, float] = {}
    published = 0
    for batch in _batches(dealt, BATCH):
        request = event_service_pb2.PublishRequest(events=[event_of(tasks[each.task_id], each) for each in batch])
        await mesh.events.Publish(request)
        published_s |= {each.task_id: time.monotonic() - started for each in batch}
        published += len(batch)
        said("episodes", published, len(dealt))
    return [
        TaskRun(
            task_id,
            len(of_task(dealt, task_id, failed=True)),
            len(of_task(dealt, task_id, failed=False)),
            published_s[task_id],
            began_at_s,
        )
        for task_id in tasks
        if task_id in published_s
    ]


async def _learnt(
    mesh: AutoDevClient, watch: EventWatch, progress: Progress, options: ReplayOptions, said: Said
) -> None:
    """Wait until everything came of the failures that will, approving what asks for it."""
    heard_at = time.monotonic()
    while True:
        if options.ending is Ending.PROMOTION:
            await _approve(mesh, progress)
        undone = progress.undone()
        said("patterns", len(progress.expected) - len(undone), len(progress.expected))
        if not undone or time.monotonic() - heard_at > options.patience_s:
            return
        if await watch.quiet(LOOK_AGAIN_S):
            await _look_for_skipped(mesh, progress)
        else:
            heard_at = time.monotonic()


async def _approve(mesh: AutoDevClient, progress: Progress) -> None:
    waiting, progress.to_approve = progress.to_approve, []
    for review_id in waiting:
        request = review_service_pb2.ApproveReviewRequest(review_id=review_id, reason="replay: it passed every example")
        await mesh.reviews.ApproveReview(request)


async def _look_for_skipped(mesh: AutoDevClient, progress: Progress) -> None:
    """A pattern that a limit stopped has no event that says so; the pattern itself does."""
    for learnt in [each for each in progress.patterns.values() if not each.candidate_id and not each.given_up]:
        request = reflection_service_pb2.GetFailurePatternRequest(pattern_id=learnt.pattern_id)
        pattern = (await mesh.reflection.GetFailurePattern(request)).pattern
        if pattern.skipped_reason:
            progress.skip(learnt.pattern_id, pattern.skipped_reason)


async def _result(mesh: AutoDevClient, task: Task, run: TaskRun, patterns: Sequence[Learnt], said: Said) -> TaskResult:
    promoted = [each.skill for each in patterns if each.skill is not None]
    checks = await _each(
        promoted,
        lambda skill: check_skill(mesh, task, skill.skill_id, skill.skill_name, skill.version),
        lambda done: said("skills checked", done, len(promoted)),
    )
    candidates = [each.candidate_id for each in patterns if each.candidate_id]
    proposing_s = sum(await _each(candidates, lambda candidate_id: _proposing_s(mesh, candidate_id)))
    return result_of(run, patterns, checks, proposing_s)


async def _proposing_s(mesh: AutoDevClient, candidate_id: str) -> float:
    request = memento_service_pb2.GetCandidateRequest(candidate_id=candidate_id)
    return (await mesh.memento.GetCandidate(request)).candidate.provenance.seconds


async def check_skill(mesh: AutoDevClient, task: Task, skill_id: str, name: str, version: str) -> SkillCheck:
    """Run a skill on every test of its task: all in one run, or where that does not pass, each in one of its own."""

    async def passes(test: TaskTest) -> bool:
        request = skill_service_pb2.ExecuteSkillRequest(
            request_id=uuid7(), skill_id=skill_id, agent_id="replay-checker", call=test.call, version=version
        )
        answer = await mesh.skills.ExecuteSkill(request)
        return answer.success and matches(answer.result_literal, test.expect)

    together = TaskTest(
        f"({', '.join(test.call for test in task.tests)},)", f"({', '.join(test.expect for test in task.tests)},)"
    )
    if len(together.call) <= MOST_CALL_CHARACTERS and await passes(together):
        passed = [True] * len(task.tests)
    else:
        passed = [await passes(test) for test in task.tests]
    held_out = [each for index, each in enumerate(passed) if task.is_held_out(index)]
    return SkillCheck(name, version, len(passed), sum(passed), len(held_out), sum(held_out))


async def _each(
    given: Sequence[Given], work: Callable[[Given], Awaitable[Made]], done: Callable[[int], Any] = lambda _: None
) -> list[Made]:
    """Work on each, a few at a time; the results in order."""
    slots, count = asyncio.Semaphore(AT_A_TIME), 0

    async def one(each: Given) -> Made:
        nonlocal count
        async with slots:
            made = await work(each)
        count += 1
        done(count)
        return made

    return await results_of(*(one(each) for each in given))
