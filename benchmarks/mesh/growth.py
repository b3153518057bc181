"""What reading costs as the tables grow: one mesh a size, filled past its services, asked in turns."""

import contextlib
import sqlite3
import statistics
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from autodev.fitness.v1 import fitness_service_pb2 as fitness
from autodev.fitness.v1.fitness_service_pb2_grpc import FitnessServiceStub
from autodev.gateway.v1.episode_service_pb2 import ListEpisodesRequest
from autodev.gateway.v1.event_pb2 import OUTCOME_FAILURE, SkillExecutionEvent, TaskEvent
from autodev.gateway.v1.event_service_pb2 import SubscribeRequest
from autodev_gateway import wire
from autodev_gateway.event_log import cursor_of
from autodev_runtime.identity import Identity
from autodev_sdk import AutoDevClient, make_event
from tests.mesh import DEVELOPER, TENANT, Mesh

if TYPE_CHECKING:
    from autodev.fitness.v1.fitness_service_pb2_grpc import FitnessServiceAsyncStub

FIRST_SEQ = 1_700_000_000_000_000
STEP_US = 1000
AGENTS = 1000
PAGE = 50
ANCESTORS = 20
SCORES = (0.2, 0.5, 0.7, 1.0)

Question = Callable[[int], Awaitable[None]]


class Grown:
    """A gateway and a fitness service whose tables have so many rows of the tenant."""

    def __init__(self, mesh: Mesh, client: AutoDevClient, variants: "FitnessServiceAsyncStub", rows: int) -> None:
        self.rows = rows
        self._client = client
        self._variants = variants
        self._metadata = Identity(TENANT, DEVELOPER, frozenset()).metadata()

    @property
    def questions(self) -> dict[str, Question]:
        """What is asked, by the row's name; the number makes each ask for something else."""
        return {
            "growth-resume": self._resume,
            "growth-top": self._top,
            "growth-lineage": self._lineage,
            "growth-list": self._list,
        }

    async def _resume(self, number: int) -> None:
        place = FIRST_SEQ + number * 7919 % (self.rows // 2) * STEP_US
        stream = self._client.events.Subscribe(SubscribeRequest(after_cursor=cursor_of(place)))
        async for response in stream:
            assert response.events
            break
        stream.cancel()

    async def _top(self, number: int) -> None:
        request = fitness.ListTopVariantsRequest()
        assert (await self._variants.ListTopVariants(request, metadata=self._metadata)).variants

    async def _lineage(self, number: int) -> None:
        variant_id = _variant_id(number * 7919 % self.rows // (ANCESTORS + 1) * (ANCESTORS + 1) + ANCESTORS)
        request = fitness.GetLineageRequest(variant_id=variant_id)
        assert len((await self._variants.GetLineage(request, metadata=self._metadata)).variants) == ANCESTORS + 1

    async def _list(self, number: int) -> None:
        # Half of the time of an agent that few episodes are of: found by an index, or by reading all.
        agent_id = "rare" if number % 2 else ""
        episodes = await self._client.episodes.ListEpisodes(ListEpisodesRequest(agent_id=agent_id, page_size=PAGE))
        assert episodes.episodes


@contextlib.asynccontextmanager
async def grown(rows: int) -> AsyncIterator[Grown]:
    """Such a mesh, within the block."""
    rows -= rows % (ANCESTORS + 1)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory)
        async with Mesh(path, services=("gateway", "fitness")):
            """The services make their tables."""
        _fill(path / "gateway.sqlite3", "events", _events(rows))
        _fill(path / "gateway.sqlite3", "episodes", _episodes(rows))
        _fill(path / "fitness.sqlite3", "workflow_variants", _variants(rows))
        async with (
            Mesh(path, services=("gateway", "fitness")) as mesh,
            mesh.client() as client,
            mesh.channel("fitness") as channel,
        ):
            yield Grown(mesh, client, FitnessServiceStub(channel), rows)


async def medians(meshes: Sequence[Grown], name: str, rounds: int) -> list[float]:
    """The seconds of one question to each of the meshes, asked in turns."""
    taken: list[list[float]] = [[] for _ in meshes]
    for number in range(-5, rounds):
        for mesh, found in zip(meshes, taken, strict=True):
            started = time.perf_counter()
            await mesh.questions[name](abs(number) * 2 + number % 2)
            if number >= 0:
                found.append(time.perf_counter() - started)
    return [statistics.median(found) for found in taken]


def _fill(path: Path, table: str, rows: Iterator[dict[str, object]]) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("PRAGMA foreign_keys=OFF")
        first = next(rows)
        marks = ", ".join(f":{name}" for name in first)
        statement = f"INSERT INTO {table} ({', '.join(first)}) VALUES ({marks})"
        connection.execute(statement, first)
        connection.executemany(statement, rows)


def _events(rows: int) -> Iterator[dict[str, object]]:
    executed = SkillExecutionEvent(execution_id="x", agent_id="agent-1", skill_id="skill-1", success=True)
    body = make_event(executed, agent_id="agent-1").SerializeToString()
    for number in range(rows):
        seq = FIRST_SEQ + number * STEP_US
        event = wire.unsized(wire.recorded(body, cursor_of(seq), seq))
        yield {
            "seq": seq,
            "tenant_id": TENANT,
            "event_id": str(uuid.UUID(int=seq << 64 | number)),
            "type": 22,
            "agent_id": "agent-1",
            "skill_id": "skill-1",
            "size_bytes": len(event),
            "event": event,
        }


def _episodes(rows: int) -> Iterator[dict[str, object]]:
    task = TaskEvent(episode_id="e", agent_id="agent-1", task_description="sum", outcome=OUTCOME_FAILURE)
    body = task.SerializeToString()
    for number in range(rows):
        yield {
            "tenant_id": TENANT,
            "id": f"episode-{number}",
            "agent_id": "rare" if number < PAGE else f"agent-{number % AGENTS}",
            "outcome": OUTCOME_FAILURE,
            "recorded_seq": FIRST_SEQ + number * STEP_US,
            "reported_seq": FIRST_SEQ + number * STEP_US,
            "task": body,
        }


def _variants(rows: int) -> Iterator[dict[str, object]]:
    for number in range(rows):
        yield {
            "id": _variant_id(number),
            "tenant_id": TENANT,
            "request_id": f"request-{number}",
            "parent_variant_id": _variant_id(number - 1) if number % (ANCESTORS + 1) else None,
            "agent_id": f"agent-{number % AGENTS}",
            "workflow_definition": '{"steps": []}',
            "fitness_function": "default",
            # Few different scores, as first runs give: ties are many.
            "fitness_score": SCORES[number % len(SCORES)],
            "proxy_score": SCORES[number % len(SCORES)],
            "fitness_signals": "{}",
            "evaluation_status": "evaluated",
            "created_at": "2025-01-01 00:00:00.000000",
            "last_evaluated_at": None,
        }


def _variant_id(number: int) -> str:
    return str(uuid.UUID(int=0x0190 << 112 | 7 << 76 | 1 << 63 | number))
