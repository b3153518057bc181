"""What keeps failing: failures of one agent that are similar, often enough, are a pattern."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, StrEnum, auto
from typing import TYPE_CHECKING

from autodev_learning import metrics
from autodev_learning.examples import Example
from autodev_learning.peers.capabilities import Capabilities, Capability, Denial
from autodev_learning.similarity import SIMILAR_OVERLAP, task_words, word_overlap

if TYPE_CHECKING:
    from autodev_learning.store.episodes import EpisodeStore

log = logging.getLogger(__name__)

MOST_PEERS = 64
"""Agents that are asked about for one failure."""
NO_EXAMPLES = "no examples: nothing can tell whether code is right, so none is written"
"""Why a pattern is skipped that nothing but a failure with examples helps."""


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
    astray: bool | None = None

    @property
    def task_key(self) -> str:
        return task_key(self.task_description)


@dataclass(frozen=True)
class FailurePattern:
    """Similar failures. `task_description` is the task that it is answered for, at which some of them failed.

    `episode_ids`: oldest first, those that came after the pattern was found included, and not those that left it.
    Of very many, they are the first of the `failures` in all. `agent_ids` are whose they are.
    """

    id: str
    agent_id: str
    error_signature: str
    task_description: str
    episode_ids: tuple[str, ...]
    detected_at: datetime
    candidate_id: str | None = None
    skipped_reason: str = ""
    failures: int = 0
    agent_ids: tuple[str, ...] = ()


class Answering(Enum):
    """When an agent may have a pattern answered: where the day's limit is met, another day."""

    TODAY = auto()
    ANOTHER_DAY = auto()


@dataclass(frozen=True)
class PatternRule:
    """How many similar failures make a pattern, and how far apart in time they may be."""

    threshold: int = 2
    window: timedelta = timedelta(days=7)


@dataclass(frozen=True)
class Failure:
    """What tells whether a failure is similar to another, and the pattern it belongs to, if any.

    `signature` is the key of its error's signature, empty where there is no error; `words` are those of its task.
    `astray`: it came to its pattern by its error alone. None where it is in no pattern, or where an earlier release
    placed it, which did not ask; then `answered_words` tell, those of the task that its pattern is answered for.
    """

    episode_id: str
    agent_id: str
    words: frozenset[str]
    signature: str
    occurred_at: datetime
    pattern_id: str | None = None
    astray: bool | None = None
    answered_words: frozenset[str] | None = None
    has_examples: bool = False


@dataclass(frozen=True)
class Placement:
    """Where a failure belongs: in a pattern that is known, in one made of `members` (oldest first), or nowhere yet.

    `astray`: it joins the known one by its error alone. `answered`: the member for whose task the new one is answered.
    Members may leave the pattern that they were astray in; each says whether it is in this one.
    """

    pattern_id: str | None = None
    astray: bool = False
    members: tuple[Failure, ...] = ()
    answered: Failure | None = None


def task_key(task_description: str) -> str:
    """What an index finds a task by."""
    return hashlib.sha256(task_description.encode()).hexdigest()


def signature_key(error_signature: str) -> str:
    """What an index finds an error by; empty where there is none."""
    return hashlib.sha256(error_signature.encode()).hexdigest() if error_signature else ""


def failure_of(episode: Episode) -> Failure:
    """What of a failed episode tells whether it is similar to others."""
    return Failure(
        episode.episode_id,
        episode.agent_id,
        task_words(episode.task_description),
        signature_key(episode.error_signature),
        episode.occurred_at,
        episode.pattern_id,
        has_examples=bool(episode.examples),
    )


def alike(one: Failure, other: Failure) -> bool:
    """Tell whether two failures are of a kind: one error signature, or half of the longer task's words."""
    same_error = bool(one.signature) and one.signature == other.signature
    return same_error or same_task(one, other)


def same_task(one: Failure, other: Failure) -> bool:
    """Tell whether two failures are of a kind by their tasks."""
    return word_overlap(one.words, other.words) >= SIMILAR_OVERLAP


def place(failure: Failure, similar: Sequence[Failure], rule: PatternRule) -> Placement:
    """Place a failure among those that are similar to it, given the latest first.

    A pattern is answered for one task. Where one harness checks everything, its error leads whatever fails into one
    pattern. What came by that alone waits there for others at its task, as what is in no pattern does elsewhere.
    """
    at_task = [each for each in similar if same_task(failure, each)]
    home = next((each for each in at_task if _is_at_home(failure, each)), None)
    if home is not None:
        return Placement(home.pattern_id, astray=False)
    known = next((each for each in [*at_task, *similar] if each.pattern_id), None)
    waiting = [each for each in (similar if known is None else at_task) if each.pattern_id is None or each.astray]
    near = [each for each in waiting if abs(each.occurred_at - failure.occurred_at) <= rule.window]
    are_enough = len(near) + 1 >= rule.threshold
    # One at no task has nobody to wait for.
    if known is not None and not (are_enough and failure.words):
        return Placement(known.pattern_id, astray=bool(failure.words))
    return _pattern_of(failure, near, rule) if are_enough else Placement()


def _is_at_home(failure: Failure, other: Failure) -> bool:
    """Whether one that fails at a task like another's belongs to that one's pattern by it."""
    if other.pattern_id is None or other.astray is not None or other.answered_words is None:
        return other.pattern_id is not None and not other.astray
    return word_overlap(failure.words, other.answered_words) >= SIMILAR_OVERLAP


def _pattern_of(failure: Failure, near: Sequence[Failure], rule: PatternRule) -> Placement:
    """The pattern that a failure makes, answered for its task where those at that are enough.

    It is answered for one with examples, if there is any: without examples no code is written.
    """
    members = sorted([*near, failure], key=lambda each: (each.occurred_at, each.episode_id))
    at_task = [each for each in members if same_task(failure, each)]
    eligible = at_task if len(at_task) >= rule.threshold else members
    answered = next((each for each in eligible if each.has_examples), eligible[0])
    at_home = _joined_by_task(answered, members)
    placed = tuple(replace(each, astray=bool(each.words) and each not in at_home) for each in members)
    return Placement(members=placed, answered=answered)


def _joined_by_task(first: Failure, members: Sequence[Failure]) -> list[Failure]:
    """Those to which tasks lead from one, step by step, as they do when failures come one after the other."""
    found = [first]
    for each in found:
        found += [other for other in members if other not in found and same_task(each, other)]
    return found


@dataclass(frozen=True)
class Peers:
    """Whose failures count beside an agent's own: of agents that may have skills written for them, not of the denied.

    Of an agent that is in neither it has to be asked first.
    """

    allowed: frozenset[str] = frozenset()
    denied: frozenset[str] = frozenset()

    def with_answer(self, agent_id: str, *, allowed: bool) -> "Peers":
        """The same, knowing of one agent more."""
        if allowed:
            return replace(self, allowed=self.allowed | {agent_id})
        return replace(self, denied=self.denied | {agent_id})


class PeersUnknown(Exception):
    """It depends on agents of which nobody asked yet whether their failures count."""

    def __init__(self, agent_ids: frozenset[str]) -> None:
        super().__init__(f"{len(agent_ids)} agents have to be asked about")
        self.agent_ids = agent_ids


class Reflection:
    """Keeps what agents report, and finds patterns."""

    def __init__(self, episodes: "EpisodeStore", capabilities: Capabilities, rule: PatternRule) -> None:
        self._episodes = episodes
        self._capabilities = capabilities
        self._rule = rule

    async def keep_failure(self, episode: Episode) -> None:
        """Keep a failure of an agent that skills may be written for, and the pattern that it makes.

        The day's limit keeps no failure away: the next one that joins its pattern on another day has it answered.
        """
        permission = await self._capabilities.check(episode.agent_id, Capability.MEMENTO_SKILLS)
        if not permission.allowed_another_day:
            log.debug("episode %s is not kept: %s", episode.episode_id, permission.message)
            return
        answering = Answering.TODAY if permission.allowed else Answering.ANOTHER_DAY
        pattern = await self._add(episode, answering)
        if pattern is not None:
            metrics.PATTERNS.inc()
            log.info("pattern %s of agent %s: %d failures", pattern.id, pattern.agent_id, len(pattern.episode_ids))

    async def _add(self, episode: Episode, answering: Answering) -> FailurePattern | None:
        """Keep a failure among its agent's, or, where the workspace wants that, among those of all agents allowed."""
        if not (await self._capabilities.workspace()).cluster_failures:
            return await self._episodes.add_failure(episode, self._rule, None, answering)
        peers = Peers(allowed=frozenset([episode.agent_id]))
        while True:
            try:
                return await self._episodes.add_failure(episode, self._rule, peers, answering)
            except PeersUnknown as unknown:
                asked = len(peers.allowed) + len(peers.denied)
                if asked + len(unknown.agent_ids) > MOST_PEERS:
                    log.warning(
                        "episode %s is compared with its agent's own: too many others fail alike", episode.episode_id
                    )
                    return await self._episodes.add_failure(episode, self._rule, None, answering)
                for agent_id in sorted(unknown.agent_ids):
                    answer = await self._capabilities.check(agent_id, Capability.MEMENTO_SKILLS)
                    peers = peers.with_answer(agent_id, allowed=answer.allowed_another_day)

    async def keep_refuted(self, episode: Episode) -> None:
        """Keep as a failure what the agent reported as a success, which is a case no more."""
        await self._episodes.withdraw_success(episode.episode_id)
        await self.keep_failure(episode)

    async def keep_success(self, episode: Episode) -> None:
        """Keep a success as a case, whoever's it is, where the workspace lets skills be written at all."""
        permission = await self._capabilities.check(episode.agent_id, Capability.MEMENTO_SKILLS)
        if permission.denial is not Denial.DISABLED:
            await self._episodes.add_success(episode)
