"""Where the measured gateway keeps its events: SQLite, PostgreSQL or NATS JetStream. Each commit is forced to disk."""

import asyncio
import contextlib
import importlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.mesh.traffic import CALLS_IN_FLIGHT, EVENTS_A_CALL, event
from tests.mesh import HOST, Mesh, free_ports
from tests.postgresql import Server, TestDatabase, binaries

# As PostgreSQL's own defaults for durability: a commit is on disk when it returns.
DURABLE = ("fsync=on", "full_page_writes=on", "synchronous_commit=on", "listen_addresses=", "max_connections=100")
IN_FLIGHT = CALLS_IN_FLIGHT * EVENTS_A_CALL
START_S = 15.0


class NotHere(Exception):
    """Something that the measurement needs is not installed."""


@contextlib.contextmanager
def postgresql() -> Iterator[Server]:
    """A server whose commits are on disk."""
    programs = binaries()
    if programs is None:
        raise NotHere("PostgreSQL is not installed")
    server = Server(programs, DURABLE)
    try:
        server.make()
        yield server
    finally:
        server.remove()


def on(database: TestDatabase, *services: str) -> dict[str, str]:
    """The settings that have these services keep their rows there."""
    return {f"AUTODEV_{service.upper()}_DATABASE_URL": database.url(f"autodev_{service}") for service in services}


@contextlib.asynccontextmanager
async def gateway(
    settings: Mapping[str, str] | None = None, services: Sequence[str] = ("gateway",)
) -> AsyncIterator[Mesh]:
    """A gateway on these settings, maybe with other services, its files in a new directory."""
    with tempfile.TemporaryDirectory() as directory:
        async with Mesh(Path(directory), services=services, settings=settings) as mesh:
            yield mesh


@contextlib.contextmanager
def jetstream() -> Iterator[str]:
    """A NATS server that forces every message to disk before it acknowledges; its URL."""
    program = nats_server()
    with tempfile.TemporaryDirectory() as directory:
        port = free_ports(1)[0]
        configuration = Path(directory) / "nats.conf"
        configuration.write_text(
            f'listen: "{HOST}:{port}"\nmax_payload: 8MB\n'
            f'jetstream {{ store_dir: "{directory}/store", sync_interval: always }}\n'
        )
        with (Path(directory) / "log").open("wb") as log:
            process = subprocess.Popen([program, "-c", configuration], stdout=log, stderr=subprocess.STDOUT)
        try:
            yield f"nats://{HOST}:{port}"
        finally:
            process.kill()
            process.wait()


def jetstream_settings(url: str) -> dict[str, str]:
    """What has the gateway keep its events there. Raises NotHere."""
    from autodev_gateway.settings import GatewaySettings

    if "event_log" not in GatewaySettings.model_fields:
        raise NotHere("this gateway has no JetStream engine")
    return {"AUTODEV_GATEWAY_EVENT_LOG": "jetstream", "AUTODEV_GATEWAY_NATS_URL": url}


def nats_server() -> str:
    """The path of the server's program. Raises NotHere."""
    beside_python = str(Path(sys.executable).parent)
    found = shutil.which("nats-server", path=f"{beside_python}{os.pathsep}{os.environ.get('PATH', '')}")
    if found is None or importlib.util.find_spec("nats") is None:
        raise NotHere("nats-server or nats-py is not installed")
    return found


class RawJetStream:
    """A stream of the server, published to by nats-py, one message an event."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._bodies = [event().SerializeToString() for _ in range(1000)]

    async def publish(self, count: int) -> float:
        """Publish so many events, as many unacknowledged as our publishers have. Returns how many a second."""
        # Imported when asked for: it comes with the engine.
        nats: Any = importlib.import_module("nats")
        connection = await nats.connect(self._url, connect_timeout=START_S, max_reconnect_attempts=10)
        stream = connection.jetstream(publish_async_max_pending=2 * IN_FLIGHT)
        await stream.add_stream(name="raw", subjects=["raw"])
        numbers = iter(range(count))

        async def one_after_the_other() -> None:
            for number in numbers:
                await stream.publish("raw", self._bodies[number % len(self._bodies)], timeout=60)

        started = time.perf_counter()
        await asyncio.gather(*(one_after_the_other() for _ in range(IN_FLIGHT)))
        rate = count / (time.perf_counter() - started)
        await stream.delete_stream("raw")
        await connection.close()
        return rate
