"""A NATS server of the tests' own, whose JetStream syncs every write."""

import base64
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nats
import nats.errors
from nats.aio.client import Client

from autodev_cli.mesh.layout import free_ports
from tests.postgresql import finished

HOST = "127.0.0.1"
START_S = 60.0
USER, PASSWORD = "gateway", "password-of-gateway"


def binary() -> Path | None:
    """The server's program; None where it is not installed."""
    beside = Path(sys.executable).with_name("nats-server")
    if beside.exists():
        return beside
    found = shutil.which("nats-server")
    return Path(found) if found is not None else None


class NatsServer:
    """A server with its files in a directory of its own."""

    def __init__(
        self,
        program: Path,
        *,
        jetstream: str = "sync_interval: always",
        max_payload: str = "8MB",
        more: str = "",
        access: str = f'authorization {{ user: {USER}, password: "{PASSWORD}" }}',
    ) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="autodev-nats-"))
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None
        self._made = 0
        self.port, self._monitor_port = free_ports(2)
        self.credentials_file = self.directory / "credentials"
        self.credentials_file.write_text(f"{USER}:{PASSWORD}\n")
        self._config.write_text(
            f'host: "{HOST}"\nport: {self.port}\nhttp: "{HOST}:{self._monitor_port}"\nmax_payload: {max_payload}\n'
            f"{access}\n"
            f'jetstream {{ store_dir: "{self.directory / "data"}", {jetstream} }}\n{more}\n'
        )

    @property
    def _config(self) -> Path:
        return self.directory / "nats.conf"

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"nats://{HOST}:{self.port}"

    @property
    def monitor_url(self) -> str:
        """Where it tells of itself."""
        return f"http://{HOST}:{self._monitor_port}"

    def start(self) -> None:
        """Start the server, and wait until it takes connections."""
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, "-c", self._config], stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        deadline = time.monotonic() + START_S
        while True:
            with contextlib.suppress(OSError), socket.create_connection((HOST, self.port), 1):
                return
            assert self._process.poll() is None, f"the server ended: {(self.directory / 'log').read_text()}"
            assert time.monotonic() < deadline, "the server takes no connections"
            time.sleep(0.02)

    def kill(self) -> None:
        """End the server at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(START_S)
            self._process = None

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Within the block the server does nothing, and its connections stay."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def remove(self) -> None:
        """Stop the server and delete its files."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        """A connection past the gateway."""
        connection = await nats.connect(self.url, user=USER, password=PASSWORD)
        try:
            yield connection
        finally:
            await connection.close()

    def stream(self) -> "TestStream":
        """A stream that nobody else has."""
        self._made += 1
        return TestStream(self, f"test_{os.getpid()}_{self._made}")


@dataclass(frozen=True)
class TestStream:
    """One stream of the server. A gateway makes it."""

    __test__ = False

    server: NatsServer
    name: str

    @property
    def settings(self) -> dict[str, Any]:
        """The gateway's settings that have it keep its events there."""
        return {
            "event_log": "jetstream",
            "nats_url": [self.server.url],
            "nats_credentials_file": self.server.credentials_file,
            "nats_monitor_urls": [self.server.monitor_url],
            "nats_stream": self.name,
        }

    @property
    def environment(self) -> dict[str, str]:
        """The same as environment variables."""
        return {
            f"AUTODEV_GATEWAY_{name.upper()}": value[0] if isinstance(value, list) else str(value)
            for name, value in self.settings.items()
        }

    async def ask(self, what: str, **stated: Any) -> dict[str, Any]:
        """A request of JetStream's API about the stream."""
        async with self.server.client() as client:
            answer = await client.request(
                f"$JS.API.{what}.{self.name}", json.dumps(stated).encode() if stated else b"", timeout=10
            )
        said: dict[str, Any] = json.loads(answer.data)
        return said

    async def messages(self) -> list[bytes]:
        """What the stream holds."""
        found = []
        state = (await self.ask("STREAM.INFO"))["state"]
        for number in range(state["first_seq"], state["last_seq"] + 1):
            message = (await self.ask("STREAM.MSG.GET", seq=number)).get("message")
            if message is not None:
                found.append(base64.b64decode(message["data"]))
        return found

    def delete(self) -> None:
        """Delete it with what it holds."""
        with contextlib.suppress(OSError, nats.errors.Error):
            finished(self.ask("STREAM.DELETE"))
