"""A mesh of several replicas a service on one PostgreSQL, for tests that kill, freeze and cut what they run.

async with Fleet(directory, settings=storage.settings) as fleet, fleet.client() as client:
    fleet.kill("learning-2")
    await fleet.settled()

What ends is started again at once. Processes are forked from the nursery that `autodev up` uses too: importing anew
takes a second of processor time a start, and nothing that a service does depends on it.
"""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from autodev_cli.certs.directory import CertificateDirectory
from autodev_cli.mesh.processes import Nursery, Process
from autodev_sdk import AutoDevClient
from tests.certificates import mesh_tls_of, mesh_variables
from tests.mesh import DEVELOPER, HOST, SERVICES, TENANT, eventually, free_ports, key, key_lines

PRELOADED = ("asyncpg", "sqlalchemy.dialects.postgresql.asyncpg")
START_S = 60.0
RESTART_S = 0.05
END_S = 10.0
LOG_CHARACTERS = 3000


@dataclass(frozen=True)
class Machine:
    """Where replicas run: on which address they listen, and what runs a process there."""

    host: str = HOST
    within: tuple[str, ...] = ()


@dataclass
class Replica:
    """One process of a service."""

    service: str
    name: str
    environment: Mapping[str, str]
    log: Path
    process: Process | None = None
    starts: int = 0
    killed: int = 0
    endings: list[int] = field(default_factory=list)
    """With what it ended when nobody killed it."""


class Fleet:
    """Replicas of every service, `gateway-1`, `gateway-2`, ... An asynchronous context manager.

    Args:
        directory: for logs, keys and data.
        settings: environment variables of all, `{"AUTODEV_LEARNING_PROPOSAL_SECONDS": "2"}`.
        replicas: how many of each service.
        services: which services; all by default.
        own: variables of one replica each, by its name: `{"capability-2": {"FAKETIME": "+1h"}}`.
        machines: where a service's replicas run, by the service; here by default. Gateways' clients are here, too.
        certificates: what the services know each other by, as they must where they listen beyond loopback.
    """

    def __init__(
        self,
        directory: Path,
        settings: Mapping[str, str],
        *,
        replicas: int = 2,
        services: tuple[str, ...] = SERVICES,
        own: Mapping[str, Mapping[str, str]] | None = None,
        machines: Mapping[str, Machine] | None = None,
        certificates: CertificateDirectory | None = None,
    ) -> None:
        self.directory = directory
        self._machines = {service: (machines or {}).get(service, Machine()) for service in SERVICES}
        self._certificates = certificates
        places = [*SERVICES, "internal"]
        ports = free_ports(len(places) * replicas)
        self._ports = {name: ports[at * replicas : (at + 1) * replicas] for at, name in enumerate(places)}
        self.replicas = {
            f"{service}-{number}": self._replica(service, number, settings, (own or {}).get(f"{service}-{number}", {}))
            for service in services
            for number in range(1, replicas + 1)
        }
        self._nurseries = {
            within: Nursery(PRELOADED, directory / f"nursery-{number}.log", within)
            for number, within in enumerate({machine.within for machine in self._machines.values()})
        }
        self._forking = asyncio.Lock()
        self._keepers: list[asyncio.Task[None]] = []

    def _replica(self, service: str, number: int, settings: Mapping[str, str], own: Mapping[str, str]) -> Replica:
        name, prefix = f"{service}-{number}", f"AUTODEV_{service.upper()}_"
        addresses = {f"{prefix}{peer.upper()}_ADDRESS": self.addresses(peer) for peer in SERVICES[1:]}
        environment = {
            **os.environ,
            f"{prefix}PORT": str(self._ports[service][number - 1]),
            f"{prefix}DATA_DIR": str(self.directory / name),
            f"{prefix}GATEWAY_ADDRESS": self.addresses("internal"),
            "AUTODEV_GATEWAY_INTERNAL_PORT": str(self._ports["internal"][number - 1]),
            "AUTODEV_GATEWAY_METRICS_PORT": "0",
            "AUTODEV_GATEWAY_MODE": "production",
            "AUTODEV_GATEWAY_API_KEYS_FILE": str(self.directory / "keys.json"),
            "AUTODEV_SANDBOX_LEVELS": "namespace",
            f"{prefix}INTERNAL_HOST" if service == "gateway" else f"{prefix}HOST": self._machines[service].host,
            **(mesh_variables(self._certificates, service) if self._certificates is not None else {}),
            **addresses,
            **settings,
            **own,
        }
        return Replica(service, name, environment, self.directory / f"{name}.log")

    def addresses(self, service: str) -> str:
        """All replicas of a service as one target; `internal`: the gateways' door for services."""
        return "ipv4:" + ",".join(f"{self._host(service)}:{port}" for port in self._ports[service])

    def address(self, service: str, number: int) -> str:
        """One replica's address."""
        return f"{self._host(service)}:{self._ports[service][number - 1]}"

    def _host(self, service: str) -> str:
        if service == "gateway":
            return HOST
        return self._machines["gateway" if service == "internal" else service].host

    def ports(self, service: str) -> list[int]:
        """Where the replicas of a service listen."""
        return list(self._ports[service])

    def client(self, gateway: int | None = None) -> AutoDevClient:
        """A developer's client of all gateways, or of one."""
        address = self.addresses("gateway") if gateway is None else self.address("gateway", gateway)
        return AutoDevClient(address, key(TENANT, DEVELOPER))

    async def __aenter__(self) -> Self:
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / "keys.json").write_text(json.dumps(key_lines()))
        for nursery in self._nurseries.values():
            await nursery.__aenter__()
        self._keepers = [asyncio.create_task(self._keep(replica)) for replica in self.replicas.values()]
        try:
            await self.serving()
        except BaseException as error:
            await self.__aexit__(type(error), error, None)
            raise
        return self

    async def __aexit__(self, *exception: object) -> None:
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        for replica in self.replicas.values():
            if replica.process is not None:
                # One that is stopped hears nothing else.
                replica.process.send_signal(signal.SIGKILL)
        for nursery in self._nurseries.values():
            await nursery.__aexit__()
        if exception[0] is not None:
            print(self.logs())

    async def _keep(self, replica: Replica) -> None:
        while True:
            async with self._forking:
                replica.process = await self._nurseries[self._machines[replica.service].within].start(
                    f"autodev_{replica.service}", replica.environment, replica.log
                )
            replica.starts += 1
            code = await replica.process.wait()
            if code != -signal.SIGKILL:
                replica.endings.append(code)
            await asyncio.sleep(RESTART_S)

    def kill(self, name: str) -> bool:
        """End a replica by SIGKILL: it can finish nothing. Returns whether it ran."""
        replica = self.replicas[name]
        if replica.process is None or replica.process.returncode is not None:
            return False
        replica.process.send_signal(signal.SIGKILL)
        replica.killed += 1
        return True

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a replica any signal."""
        process = self.replicas[name].process
        assert process is not None
        process.send_signal(number)

    async def serving(self, *names: str, timeout_s: float = START_S) -> None:
        """Wait until these replicas serve; all by default."""
        chosen = names or tuple(self.replicas)
        await asyncio.gather(
            *(eventually(lambda name=name: self.serves(name), f"{name} serves", timeout_s) for name in chosen)  # type: ignore[misc]
        )

    async def serves(self, name: str) -> bool:
        """Whether a replica says that it serves."""
        service, _, number = name.rpartition("-")
        async with self._channel(service, int(number)) as channel:
            with contextlib.suppress(grpc.aio.AioRpcError):
                answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=2)
                return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
        return False

    def _channel(self, service: str, number: int) -> grpc.aio.Channel:
        address = self.address(service, number)
        if self._certificates is None or service == "gateway":
            return grpc.aio.insecure_channel(address)
        return mesh_tls_of(self._certificates, "gateway").channel(service, address, ())

    def logs(self) -> str:
        """The end of every replica's log."""
        return "\n".join(
            f"--- {replica.name}: {replica.starts} starts, {replica.killed} kills, ended {replica.endings}\n"
            + (replica.log.read_text(errors="replace")[-LOG_CHARACTERS:] if replica.log.exists() else "")
            for replica in self.replicas.values()
        )
