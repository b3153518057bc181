"""A mesh of real services, each a process of its own, for tests that need the whole of it or a part.

async with Mesh(tmp_path) as mesh, mesh.client() as client:
    await client.events.Publish(...)
    await eventually(lambda: ..., "the candidate is validated")
    mesh.kill("learning")
    await mesh.start("learning")
"""

import asyncio
import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from autodev.sandbox.v1 import sandbox_service_pb2
from autodev.sandbox.v1.sandbox_service_pb2_grpc import SandboxServiceStub
from autodev_cli.certs.directory import CertificateDirectory
from autodev_cli.mesh import layout
from autodev_runtime.identity import service_identity
from autodev_sandbox.levels import NOT_TRIED
from autodev_sdk import AutoDevClient
from tests.certificates import mesh_tls_of, mesh_variables
from tests.conftest import require

SERVICES = ("gateway", "capability", "fitness", "sandbox", "learning")
HOST = "127.0.0.1"
TENANT, OTHER_TENANT, SILENT_TENANT = "acme", "globex", "initech"
DEVELOPER, AGENT = "developer", "agent"
ROLES = {DEVELOPER: ["operator", "reviewer", "runtime"], AGENT: []}
"""Whom a tenant has keys for, and what they may do."""
START_S = 90.0
ISOLATION_S = 6.0
"""How long a sandbox that does not serve may look for an isolation level."""
STOP_S = 20.0
POLL_S = 0.05
LOG_CHARACTERS = 6000
REMEMBERED_PORTS = 500

Found = TypeVar("Found")

_given: deque[int] = deque(maxlen=REMEMBERED_PORTS)


async def eventually(look: Callable[[], Awaitable[Found | None]], what: str, timeout_s: float = 60.0) -> Found:
    """Look until something is found (anything but a false value), and give it. Fails after the time."""
    deadline = time.monotonic() + timeout_s
    while True:
        found = await look()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what}"
        await asyncio.sleep(POLL_S)


def free_ports(count: int) -> list[int]:
    """Ports that are free now and were not given lately, of those that are this test process' own.

    Until somebody listens on them, another process of the tests could find them free as well.
    """
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    found: list[int] = []
    while len(found) < count:
        own = (port for port in layout.free_ports(count * processes) if port % processes == number)
        found += [port for port in own if port not in _given and port not in found]
    _given.extend(found[:count])
    return found[:count]


class Mesh:
    """Services on free ports of this machine, their files in one directory. An asynchronous context manager.

    Args:
        directory: where their data, keys and logs are.
        services: which to start, all by default. A service starts without its peers, and serves when it has them.
        settings: environment variables on top, `{"AUTODEV_LEARNING_PROPOSAL_SECONDS": "2"}`.
        certificates: what the services know each other by; without, they speak plain text.
    """

    def __init__(
        self,
        directory: Path,
        services: Sequence[str] = SERVICES,
        settings: Mapping[str, str] | None = None,
        certificates: CertificateDirectory | None = None,
    ) -> None:
        self.directory = directory
        self._services = services
        self._certificates = certificates
        names = (*SERVICES, "internal", "http")
        self._ports = dict(zip(names, free_ports(len(names)), strict=True))
        self._settings = {**os.environ, **self._addresses(), **(settings or {})}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def _addresses(self) -> dict[str, str]:
        stated = {
            "AUTODEV_GATEWAY_INTERNAL_PORT": str(self._ports["internal"]),
            "AUTODEV_GATEWAY_METRICS_PORT": str(self._ports["http"]),
            "AUTODEV_GATEWAY_MODE": "production",
            "AUTODEV_GATEWAY_API_KEYS_FILE": str(self.directory / "keys.json"),
        }
        for service in SERVICES:
            prefix = f"AUTODEV_{service.upper()}_"
            stated[f"{prefix}PORT"] = str(self._ports[service])
            stated[f"{prefix}DATA_DIR"] = str(self.directory)
            stated[f"{prefix}GATEWAY_ADDRESS"] = self.address("internal")
            stated |= {f"{prefix}{peer.upper()}_ADDRESS": self.address(peer) for peer in SERVICES[1:]}
            if self._certificates is not None:
                stated |= mesh_variables(self._certificates, service)
        return stated

    def address(self, service: str) -> str:
        """Where a service listens; `internal` is the gateway's door for services."""
        return f"{HOST}:{self._ports[service]}"

    def channel(
        self, service: str, options: Sequence[tuple[str, Any]] = (), caller: str = "gateway"
    ) -> grpc.aio.Channel:
        """A connection past the gateway. The service believes the identity in a call's metadata.

        With certificates: as far as it may be stated by `caller`, whose certificate is used.
        """
        if self._certificates is None or service == "gateway":
            return grpc.aio.insecure_channel(self.address(service), options=options)
        return mesh_tls_of(self._certificates, caller).channel(
            "gateway" if service == "internal" else service, self.address(service), options
        )

    def client(self, tenant: str = TENANT, subject: str = DEVELOPER) -> AutoDevClient:
        """A client of the gateway: a tenant's developer, who may do everything, or its agent, who has no role."""
        return AutoDevClient(self.address("gateway"), key(tenant, subject))

    async def __aenter__(self) -> Self:
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / "keys.json").write_text(json.dumps(key_lines()))
        try:
            for service in self._services:
                self.launch(service)
            await asyncio.gather(*(self.serving(service) for service in self._services))
        except BaseException:
            self.end()
            raise
        return self

    async def __aexit__(self, *exception: object) -> None:
        if exception[0] is not None:
            print(self.logs())
        self.end()

    def launch(self, service: str) -> None:
        """Start a service and do not wait for it."""
        with self.log_path(service).open("ab") as log:
            self._processes[service] = subprocess.Popen(
                [sys.executable, "-m", f"autodev_{service}"],
                env=self._settings,
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    async def start(self, service: str) -> None:
        """Start a service that is down and wait until it serves."""
        self.launch(service)
        await self.serving(service)

    def kill(self, service: str) -> None:
        """End a service at once, by SIGKILL: it can finish nothing."""
        process = self._processes[service]
        process.kill()
        process.wait()

    async def stop(self, service: str) -> int:
        """End a service by SIGTERM, which drains it; returns its exit status."""
        process = self._processes[service]
        process.send_signal(signal.SIGTERM)
        return await asyncio.to_thread(process.wait, STOP_S)

    async def serving(self, service: str, timeout_s: float = START_S) -> None:
        """Wait until a service says that it serves. Fails where its process ends before."""
        deadline = time.monotonic() + timeout_s
        options = [("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 200)]
        async with self.channel(service, options) as channel:
            health = health_pb2_grpc.HealthStub(channel)
            while not await _serves(health):
                status = self._processes[service].poll()
                assert status is None, f"{service} ended with status {status}:\n{self.log(service)}"
                assert time.monotonic() < deadline, f"{service} does not serve:\n{self.logs()}"
                if service == "sandbox" and time.monotonic() > deadline - timeout_s + ISOLATION_S:
                    await _require_isolation(channel)
                await asyncio.sleep(POLL_S)

    def end(self) -> None:
        """End what runs, without ado."""
        for process in self._processes.values():
            process.kill()
        for process in self._processes.values():
            process.wait()

    def log_path(self, service: str) -> Path:
        """The file that a service logs to."""
        return self.directory / f"{service}.log"

    def log(self, service: str) -> str:
        """The end of a service's log."""
        return self.log_path(service).read_text(errors="replace")[-LOG_CHARACTERS:]

    def logs(self) -> str:
        """The end of every service's log."""
        return "\n".join(f"--- {service}\n{self.log(service)}" for service in self._processes)


def key(tenant: str, subject: str) -> str:
    """The API key of somebody of a tenant."""
    return f"test-key-of-{subject}-at-{tenant}"


def key_lines() -> list[dict[str, object]]:
    """The keys as the gateway's file of keys states them."""
    return [
        {
            "tenant": tenant,
            "subject": subject,
            "roles": roles,
            "sha256": hashlib.sha256(key(tenant, subject).encode()).hexdigest(),
        }
        for tenant in (TENANT, OTHER_TENANT, SILENT_TENANT)
        for subject, roles in ROLES.items()
    ]


async def _require_isolation(channel: grpc.aio.Channel) -> None:
    """Go on only where the sandbox has found an isolation level on this machine."""
    identity = service_identity("gateway").metadata()
    with contextlib.suppress(grpc.aio.AioRpcError):
        request = sandbox_service_pb2.GetSandboxStatusRequest()
        status = await SandboxServiceStub(channel).GetSandboxStatus(request, metadata=identity, timeout=2.0)
        if any(level.detail == NOT_TRIED for level in status.levels):
            # On a busy machine, what the levels need may take long to be made the first time.
            return
        missing = "; ".join(level.detail for level in status.levels if not level.available)
        require(status.default_isolation, f"no sandbox works on this machine: {missing}")


async def _serves(health: health_pb2_grpc.HealthStub) -> bool:
    try:
        answer = await health.Check(health_pb2.HealthCheckRequest(), timeout=2.0)
    except grpc.aio.AioRpcError:
        return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
