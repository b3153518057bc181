"""Who reports which recorded attempt."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from autodev_cli.episodes import Attempt, of_task

PATTERN_THRESHOLD = 2
"""Failures that make a pattern, by default."""
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")
MOST_CHARACTERS = 120


def deal(attempts: Iterable[Attempt], agents_per_task: int, run: str) -> list[Attempt]:
    """The attempts as this run reports them: successes first, then failures, under names of this run.

    A task's failures go round among so many agents, or fewer, so that each has enough of them for a pattern. Its
    successes stay with agents of their own, so that a case is never the failing agent's.
    """
    attempts = list(attempts)
    dealt = [_named(each, run, each.agent_id) for each in attempts if not each.failed]
    counts: dict[str, int] = {}
    for each in attempts:
        if each.failed:
            agents = agents_for(len(of_task(attempts, each.task_id, failed=True)), agents_per_task)
            count = counts[each.task_id] = counts.get(each.task_id, -1) + 1
            dealt.append(_named(each, run, f"{each.task_id}-agent-{count % agents + 1}"))
    return dealt


def agents_for(failures: int, agents_per_task: int) -> int:
    """How many agents share a task's failures."""
    return max(1, min(agents_per_task, failures // PATTERN_THRESHOLD))


def limited(attempts: Sequence[Attempt], most: int | None) -> list[Attempt]:
    """The first `most` failures and the first `most` successes of each task."""
    if most is None:
        return list(attempts)
    counts: dict[tuple[str, bool], int] = {}
    kept = []
    for each in attempts:
        count = counts[each.task_id, each.failed] = counts.get((each.task_id, each.failed), 0) + 1
        if count <= most:
            kept.append(each)
    return kept


def _named(attempt: Attempt, run: str, agent: str) -> Attempt:
    return replace(attempt, agent_id=_name(f"{run}-{agent}"), episode_id=_name(f"{run}-{attempt.episode_id}"))


def _name(text: str) -> str:
    return _NOT_IN_NAMES.sub("-", text)[:MOST_CHARACTERS]
