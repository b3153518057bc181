"""The mesh of one machine, on SQLite, killed a hundred times while events are published.

The gateway alone holds the log, so most rounds run and kill it alone, soon after it has acknowledged something again,
which takes a third of a second; some kill all five services at once.
"""

import asyncio
import itertools
import os
import random
from pathlib import Path

import pytest

from autodev.gateway.v1 import event_pb2
from autodev_sdk import make_event
from tests.chaos import readback
from tests.chaos.load import Publisher
from tests.fleet import Fleet
from tests.mesh import SERVICES, eventually

ROUNDS = int(os.environ.get("AUTODEV_CHAOS_ROUNDS", "100"))
SEED = int(os.environ.get("AUTODEV_CHAOS_SEED", str(random.SystemRandom().randrange(1_000_000))))
PUBLISHERS = 8
EVENTS_A_CALL = 5
WHOLE_MESH_ROUNDS = 5
LATEST_KILL_S = 0.05


@pytest.mark.parametrize(
    ("services", "rounds"), [(("gateway",), ROUNDS - WHOLE_MESH_ROUNDS), (SERVICES, WHOLE_MESH_ROUNDS)]
)
async def test_every_acknowledged_event_is_there_after_all_kills(
    tmp_path: Path, services: tuple[str, ...], rounds: int
) -> None:
    print(f"AUTODEV_CHAOS_SEED={SEED} AUTODEV_CHAOS_ROUNDS={ROUNDS}")
    chance = random.Random(SEED)
    async with Fleet(tmp_path, {}, replicas=1, services=services) as mesh, mesh.client() as client:
        publishers = [Publisher(client) for _ in range(PUBLISHERS)]
        publishing = [asyncio.ensure_future(_publish(each, number)) for number, each in enumerate(publishers)]
        gateway = mesh.replicas["gateway-1"]
        while gateway.killed < rounds:
            before = _count(publishers)
            await eventually(lambda before=before: _more(publishers, before), "something is acknowledged")  # type: ignore[misc]
            await asyncio.sleep(chance.uniform(0, LATEST_KILL_S))
            for name in mesh.replicas:
                mesh.kill(name)
        for each in publishing:
            each.cancel()
        await asyncio.gather(*publishing, return_exceptions=True)
        await mesh.serving("gateway-1")
        acknowledged = {key: cursor for publisher in publishers for key, cursor in publisher.acknowledged.items()}
        print(f"{len(acknowledged)} events acknowledged, {gateway.killed} kills")
        await readback.check_log(client, acknowledged)


async def _publish(publisher: Publisher, number: int) -> None:
    for call in itertools.count():
        await publisher.publish([_event(f"{number}-{call}-{each}") for each in range(EVENTS_A_CALL)])


def _event(episode: str) -> event_pb2.Event:
    report = event_pb2.TaskEvent(
        episode_id=episode, agent_id="ada", task_description="count", outcome=event_pb2.OUTCOME_SUCCESS
    )
    return make_event(report, agent_id="ada")


def _count(publishers: list[Publisher]) -> int:
    return sum(len(publisher.acknowledged) for publisher in publishers)


async def _more(publishers: list[Publisher], than: int) -> bool:
    return _count(publishers) > than
