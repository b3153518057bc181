"""The load of the tests that break things: agents that fail at tasks, reported until the log has acknowledged it.

Each agent fails twice or more at each of TASKS, so every agent makes that many patterns, one more than its day's limit
of candidates: `QUOTA` of them get a candidate, the others are told why not. A peer of the agent's has succeeded.
"""

import asyncio
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc

from autodev.capability.v1 import capability_service_pb2 as capability
from autodev.gateway.v1 import event_pb2, event_service_pb2
from autodev_sdk import AutoDevClient, make_event
from autodev_sdk.events import uuid7
from tests.mesh import eventually
from tests.storage import Storage

QUOTA = 3
PEER = "peer"
AWAY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED)
"""What a caller may be told while parts of the mesh are down; anything else is a mistake of the mesh's."""
CALL_S = 5.0
GIVE_UP_S = 120.0


@dataclass(frozen=True)
class Task:
    """A task that agents fail at. Words and errors differ, so that the failures of two tasks are never similar."""

    description: str
    error: str
    wrong: str
    right: str
    examples: tuple[tuple[str, str], ...]


TASKS = (
    Task(
        "take the final element out of some sequence",
        "IndexError: list index out of range",
        "def last(items):\n    return items[0]\n",
        "def last(items):\n    return items[-1]\n",
        (("last([1, 2])", "2"), ("last([5])", "5"), ("last(['a', 'b', 'c'])", "'c'")),
    ),
    Task(
        "count how often vowels occur within given text",
        "KeyError: 'vowel'",
        "def vowels(text):\n    return len(text)\n",
        "def vowels(text):\n    return sum(letter in 'aeiou' for letter in text)\n",
        (("vowels('banana')", "3"), ("vowels('')", "0"), ("vowels('xyz')", "0")),
    ),
    Task(
        "add up all positive numbers below a limit",
        "TypeError: unsupported operand",
        "def total(limit):\n    return limit\n",
        "def total(limit):\n    return sum(range(limit))\n",
        (("total(4)", "6"), ("total(1)", "0"), ("total(10)", "45")),
    ),
    Task(
        "turn words around so they read backwards",
        "AttributeError: no attribute reverse",
        "def mirrored(word):\n    return word\n",
        "def mirrored(word):\n    return word[::-1]\n",
        (("mirrored('ab')", "'ba'"), ("mirrored('')", "''"), ("mirrored('xyz')", "'zyx'")),
    ),
)


def events_of(agent: str, failures: int = 2) -> list[event_pb2.Event]:
    """What an agent reports: so many failures at each task. The second makes the pattern, the others belong to it."""
    return [
        _reported(task, agent, f"{agent}-{number}-{attempt}", failed=True)
        for attempt in range(1, failures + 1)
        for number, task in enumerate(TASKS)
    ]


def successes() -> list[event_pb2.Event]:
    """What the peer reports: a success at each task."""
    return [_reported(task, PEER, f"{PEER}-{number}", failed=False) for number, task in enumerate(TASKS)]


def _reported(task: Task, agent: str, episode: str, *, failed: bool) -> event_pb2.Event:
    report = event_pb2.TaskEvent(
        episode_id=episode,
        agent_id=agent,
        task_description=task.description,
        outcome=event_pb2.OUTCOME_FAILURE if failed else event_pb2.OUTCOME_SUCCESS,
        code=task.wrong if failed else task.right,
        error_trace=task.error if failed else "",
        examples=[event_pb2.Example(call=call, expected=expected) for call, expected in task.examples],
    )
    return make_event(report, agent_id=agent, correlation_id=episode)


@dataclass
class Publisher:
    """Publishes until it is acknowledged, and remembers what was; ids make that safe to repeat."""

    client: AutoDevClient
    acknowledged: dict[str, str] = field(default_factory=dict)
    """The cursor of each event's id."""
    refusals: list[str] = field(default_factory=list)
    """Every status that was answered meanwhile."""

    async def publish(self, events: Sequence[event_pb2.Event]) -> None:
        """Publish events, again and again until they are acknowledged."""

        async def attempt() -> Any:
            request = event_service_pb2.PublishRequest(events=events)
            try:
                return await self.client.events.Publish(request, timeout=CALL_S)
            except grpc.aio.AioRpcError as error:
                self.refusals.append(error.code().name)
                if error.code() not in AWAY:
                    raise
                return None

        answer = await eventually(attempt, "events are acknowledged", GIVE_UP_S)
        self.acknowledged.update(zip(answer.event_ids, answer.cursors, strict=True))

    async def publish_all(self, batches: Iterable[Sequence[event_pb2.Event]], within_s: float) -> None:
        """Publish batches one after the other, spread over a time."""
        waiting = list(batches)
        for batch in waiting:
            await self.publish(batch)
            await asyncio.sleep(within_s / len(waiting))


async def called(call: Any) -> Any:
    """Make a call until what was killed is back. For calls that may be repeated."""

    async def attempt() -> Any:
        try:
            return await call()
        except grpc.aio.AioRpcError as error:
            if error.code() not in AWAY:
                raise
            return None

    return await eventually(attempt, "the mesh answers again", GIVE_UP_S)


async def opened(client: AutoDevClient, agents: Sequence[str]) -> None:
    """Turn learning on for the workspace, and trust its agents."""
    settings = capability.WorkspaceSettings(
        enabled=True,
        memento_skills=True,
        alpha_evolver=True,
        background_evolution=True,
        max_mutations_per_day=1000,
        max_skill_candidates_per_day=QUOTA,
    )
    request = capability.UpdateWorkspaceSettingsRequest(settings=settings)
    await called(lambda: client.capability.UpdateWorkspaceSettings(request))
    for agent in agents:
        trust = capability.SetMaturityRequest(
            agent_id=agent, maturity=capability.MATURITY_LEVEL_AUTONOMOUS, reason="test"
        )
        await called(lambda trust=trust: client.capability.SetMaturity(trust))


async def prepared(publisher: Publisher, storage: Storage, agents: Sequence[str]) -> None:
    """A workspace that learns, and knows the peer's successes: proposers find what is right at once."""
    await opened(publisher.client, agents)
    await publisher.publish(successes())
    query = f"SELECT count(*) FROM episodes WHERE agent_id = '{PEER}'"

    async def known() -> bool:
        return bool((await storage.rows("learning", query))[0][0] == len(TASKS))

    await eventually(known, "the successes are known", GIVE_UP_S)


def named_agents(seed: int, count: int) -> list[str]:
    """Agents whose names no other run has."""
    run = uuid7()[-6:]
    names = [f"agent-{seed}-{run}-{number}" for number in range(count)]
    random.Random(seed).shuffle(names)
    return names
