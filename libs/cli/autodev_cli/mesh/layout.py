"""What runs where: the services of the mesh, their ports, and the environment that tells them of each other."""

import contextlib
import random
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from autodev_cli.errors import CommandError, UsageError

SERVICES = ("gateway", "capability", "learning", "fitness", "sandbox")
HOST = "127.0.0.1"
DEFAULT_PORTS = "default"
DRAIN_S = 3.0
_ASKS = {"gateway": SERVICES[1:], "learning": ("capability", "fitness", "sandbox")}
"""Whom each service asks, besides the gateway, which all do."""

_FIRST_PORT = 10_000
_HANDED_OUT = Path("/proc/sys/net/ipv4/ip_local_port_range")

_MESH_FILE = re.compile("AUTODEV_([A-Z]+_)?MESH_[A-Z]+_FILE")
"""Settings that are this mesh's alone: whether its services speak mutual TLS is for `--mtls` to say."""


@dataclass(frozen=True)
class Ports:
    """Every port of a mesh. `internal`: the gateway's, for the services; `http`: webhooks and metrics."""

    internal: int = 50050
    gateway: int = 50051
    capability: int = 50052
    learning: int = 50053
    fitness: int = 50054
    sandbox: int = 50055
    http: int = 9464

    def address(self, service: str) -> str:
        """Where a service listens: `host:port`."""
        return f"{HOST}:{getattr(self, service)}"


def ports_named(choice: str) -> Ports:
    """The ports for `default`, `auto` or a number to count from. Raises UsageError for anything else."""
    if choice == DEFAULT_PORTS:
        return Ports()
    if choice == "auto":
        return Ports(*free_ports(len(fields(Ports))))
    if choice.isdecimal() and len(choice) <= 5 and 0 < int(choice) <= 65535 - len(fields(Ports)):
        return Ports(*(int(choice) + offset for offset in range(len(fields(Ports)))))
    raise UsageError(f"--ports {choice}: give default, auto, or a number to count from")


def free_ports(count: int) -> list[int]:
    """Ports that are free now. Held open together, so that all differ.

    None of them is one that the system hands out by itself: it could give it to somebody's outgoing connection, or to
    a server without a port of its own, before the one it is meant for listens on it.
    """
    candidates = range(_FIRST_PORT, _first_handed_out())
    with contextlib.ExitStack() as held:
        found: list[int] = []
        for port in random.sample(candidates, len(candidates)):
            if len(found) == count:
                break
            probe = held.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                probe.bind((HOST, port))
                found.append(port)
    if len(found) < count:
        raise CommandError(f"this machine has no {count} free ports from {candidates.start} to {candidates.stop - 1}")
    return found


def _first_handed_out() -> int:
    """Where the ports begin that the system gives to whoever asks for none by number (RFC 6335 has it at 49152)."""
    try:
        return max(int(_HANDED_OUT.read_text().split()[0]), _FIRST_PORT + 1000)
    except OSError:
        return 49152


def require_free(ports: Ports) -> None:
    """Raises CommandError that names the first port another program has."""
    for field in fields(ports):
        port = getattr(ports, field.name)
        with socket.socket() as probe:
            # As a server binds: what lingers from a mesh that has just ended is no obstacle.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError as error:
                raise CommandError(
                    f"port {port} ({field.name}) is taken by another program ({error.strerror}): stop it, or start "
                    "with --ports auto"
                ) from error


@dataclass(frozen=True)
class MeshPlan:
    """A mesh to be started."""

    data_dir: Path
    ports: Ports
    tenant: str
    allow_process_sandbox: bool = False
    mutual_tls: bool = False
    """Whether services know each other by certificates, which are made where there are none."""

    @property
    def certificates(self) -> Path:
        """Where the certificates are."""
        return self.data_dir.resolve() / "certs"

    def environment(self, service: str, inherited: Mapping[str, str]) -> dict[str, str]:
        """The environment of one service: what the operator set, and over it what this mesh decides."""
        prefix = f"AUTODEV_{service.upper()}_"
        decided = {
            "PORT": str(getattr(self.ports, service)),
            "DATA_DIR": str(self.data_dir.resolve()),
            "GATEWAY_ADDRESS": self.ports.address("internal"),
            **{f"{peer.upper()}_ADDRESS": self.ports.address(peer) for peer in _ASKS.get(service, ())},
        }
        if service == "gateway":
            decided |= {
                "INTERNAL_PORT": str(self.ports.internal),
                "METRICS_PORT": str(self.ports.http),
                "DEVELOPMENT_TENANTS": self.tenant,
            }
        if self.mutual_tls:
            files = {"MESH_CA_FILE": "ca.crt", "MESH_CERT_FILE": "tls.crt", "MESH_KEY_FILE": "tls.key"}
            decided |= {name: str(self.certificates / service / file) for name, file in files.items()}
        if service == "sandbox" and self.allow_process_sandbox:
            decided["ALLOW_PROCESS"] = "true"
        return {
            f"{prefix}DRAIN_S": str(DRAIN_S),
            **{name: value for name, value in inherited.items() if not _MESH_FILE.fullmatch(name)},
            **{prefix + name: value for name, value in decided.items()},
        }
