"""The disk under the SQLite files fills up: clear errors meanwhile, and everything goes on once there is room."""

import asyncio
import contextlib
import os
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from autodev.capability.v1 import capability_service_pb2 as capability
from autodev.gateway.v1 import event_service_pb2
from autodev_sdk import AutoDevClient
from tests.chaos import readback
from tests.chaos.load import QUOTA, TASKS, Publisher, events_of, prepared
from tests.conftest import require
from tests.fleet import Fleet
from tests.mesh import SERVICES, eventually
from tests.serving import refusal_of
from tests.storage import Storage

DISK_BYTES = 24 * 1024 * 1024
BLOCK_BYTES = 64 * 1024
AGENT = "ada"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own, in memory."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "autodev-chaos", str(place)]
    mounted = os.geteuid() == 0 and subprocess.run(command, capture_output=True).returncode == 0
    require(mounted, "a disk of the test's own cannot be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


async def test_a_full_disk_is_told_and_over_once_there_is_room(disk: Path, tmp_path: Path) -> None:
    settings = {f"AUTODEV_{service.upper()}_DATA_DIR": str(disk) for service in SERVICES}
    storage = Storage(disk)
    async with Fleet(tmp_path, settings, replicas=1) as mesh, mesh.client() as client:
        publisher = Publisher(client)
        await prepared(publisher, storage, [AGENT])
        first, *rest = events_of(AGENT)
        await publisher.publish([first])
        await _fill(disk)
        # A few pages are left in the files: the first calls may still find room.
        refused = [
            await _refused(lambda: _publish(client)),
            await _refused(lambda: _trust(client)),
        ]
        assert refused == [("UNAVAILABLE", "DISK_FULL")] * 2
        waiting = asyncio.ensure_future(publisher.publish(rest))
        # What is on the disk can be read.
        assert len(await readback.everything(client)) >= len(TASKS) + 1
        await asyncio.sleep(2)
        assert not waiting.done()
        (disk / "filler").unlink()
        await waiting
        await eventually(lambda: _learned(storage), "the candidates are written", 60)
        await readback.check_log(client, publisher.acknowledged)
        assert {replica.name: replica.starts for replica in mesh.replicas.values()} == dict.fromkeys(mesh.replicas, 1)


async def _fill(disk: Path) -> None:
    with (disk / "filler").open("wb", buffering=0) as filler, contextlib.suppress(OSError):
        while True:
            filler.write(bytes(BLOCK_BYTES))


async def _refused(call: Callable[[], Awaitable[Any]]) -> tuple[str, str]:
    """Call until it is refused, and say how."""

    async def attempt() -> tuple[str, str] | None:
        try:
            await call()
        except grpc.aio.AioRpcError as error:
            told = refusal_of(error)
            return told.code, told.reason
        return None

    return await eventually(attempt, "the disk is full")


async def _publish(client: AutoDevClient) -> None:
    await client.events.Publish(event_service_pb2.PublishRequest(events=events_of("filler")), timeout=5)


async def _trust(client: AutoDevClient) -> None:
    trust = capability.SetMaturityRequest(
        agent_id=os.urandom(8).hex(), maturity=capability.MATURITY_LEVEL_INTERN, reason="x" * 1000
    )
    await client.capability.SetMaturity(trust, timeout=5)


async def _learned(storage: Storage) -> bool:
    query = f"SELECT count(*) FROM skill_candidates WHERE agent_id = '{AGENT}' AND validation_status = 'validated'"
    return bool((await storage.rows("learning", query))[0][0] == QUOTA)
