"""What keeps failing: failures of one agent that are similar, often enough, are a pattern."""

import hashlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from autodev_learning import metrics
from autodev_learning.examples import Example
from autodev_learning.peers.capabilities import Capabilities, Capability, Denial
from autodev_learning.similarity import SIMILAR_OVERLAP, task_words, word_overlap

if TYPE_CHECKING:
    from autodev_learning.store.episodes import EpisodeStore

log = logging.getLogger(__name__)

COMPARED_CHARACTERS = 4_000


class Outcome(StrEnum):
    """How an attempt ended."""

    SUCCESS = "success"
    FAILURE = "failure"
    PARTIAL = "partial"


@dataclass(frozen=True)
class ToolCall:
    """A tool that the agent called; `error` is empty where it did not fail."""

    name: str
    arguments: Mapping[str, object]
    error: str


@dataclass(frozen=True)
class Segment:
    """A part of an attempt: what the agent thought, did or saw."""

    kind: str
    text: str


@dataclass(frozen=True)
class Episode:
    """An attempt of an agent at a task. `event_id` names the event that reported it."""

    episode_id: str
    event_id: str
    agent_id: str
    outcome: Outcome
    task_description: str
    error_trace: str
    error_signature: str
    code: str
    preamble: str
    examples: tuple[Example, ...]
    tool_calls: tuple[ToolCall, ...]
    segments: tuple[Segment, ...]
    occurred_at: datetime
    pattern_id: str | None = None

    @property
    def task_key(self) -> str:
        return task_key(self.task_description)


@dataclass(frozen=True)
class FailurePattern:
    """Similar failures. `episode_ids`: oldest first, those that came after the pattern was found included."""

    id: str
    agent_id: str
    error_signature: str
    task_description: str
    episode_ids: tuple[str, ...]
    detected_at: datetime
    candidate_id: str | None = None
    skipped_reason: str = ""


@dataclass(frozen=True)
class PatternRule:
    """How many similar failures make a pattern, and how far apart in time they may be."""

    threshold: int = 2
    window: timedelta = timedelta(days=7)


@dataclass(frozen=True)
class Failure:
    """What tells whether a failure is similar to another, and the pattern it belongs to, if any."""

    episode_id: str
    task_description: str
    error_signature: str
    occurred_at: datetime
    pattern_id: str | None = None


@dataclass(frozen=True)
class Placement:
    """Where a failure belongs: in a pattern that is known, in one made of `members` (oldest first), or nowhere yet."""

    pattern_id: str | None = None
    members: tuple[Failure, ...] = ()


def task_key(task_description: str) -> str:
    """What an index finds a task by."""
    return hashlib.sha256(task_description.encode()).hexdigest()


def place(failure: Failure, others: Iterable[Failure], rule: PatternRule) -> Placement:
    """Place a failure among the agent's others, given the most telling first."""
    similar = _similar(failure, others)
    known = next((each.pattern_id for each in similar if each.pattern_id), None)
    if known is not None:
        return Placement(pattern_id=known)
    near = [each for each in similar if abs(each.occurred_at - failure.occurred_at) <= rule.window]
    if len(near) + 1 < rule.threshold:
        return Placement()
    return Placement(members=tuple(sorted([*near, failure], key=lambda each: (each.occurred_at, each.episode_id))))


def _similar(failure: Failure, others: Iterable[Failure]) -> Sequence[Failure]:
    words = task_words(failure.task_description[:COMPARED_CHARACTERS])
    # Most of an agent's failures are at few tasks: each is read once.
    alike = {failure.task_description: True}

    def similar_task(description: str) -> bool:
        if description not in alike:
            alike[description] = word_overlap(words, task_words(description[:COMPARED_CHARACTERS])) >= SIMILAR_OVERLAP
        return alike[description]

    return [
        each
        for each in others
        if (failure.error_signature and each.error_signature == failure.error_signature)
        or similar_task(each.task_description)
    ]


class Reflection:
    """Keeps what agents report, and finds patterns."""

    def __init__(self, episodes: "EpisodeStore", capabilities: Capabilities, rule: PatternRule) -> None:
        self._episodes = episodes
        self._capabilities = capabilities
        self._rule = rule

    async def keep_failure(self, episode: Episode) -> None:
        """Keep a failure of an agent that skills may be written for, and the pattern that it makes.

        The day's limit keeps no failure away: it may be answered another day.
        """
        permission = await self._capabilities.check(episode.agent_id, Capability.MEMENTO_SKILLS)
        if not permission.allowed_another_day:
            log.debug("episode %s is not kept: %s", episode.episode_id, permission.message)
            return
        pattern = await self._episodes.add_failure(episode, self._rule)
        if pattern is not None:
            metrics.PATTERNS.inc()
            log.info("pattern %s of agent %s: %d failures", pattern.id, pattern.agent_id, len(pattern.episode_ids))

    async def keep_success(self, episode: Episode) -> None:
        """Keep a success as a case, whoever's it is, where the workspace lets skills be written at all."""
        permission = await self._capabilities.check(episode.agent_id, Capability.MEMENTO_SKILLS)
        if permission.denial is not Denial.DISABLED:
            await self._episodes.add_success(episode)
