"""Starts the mesh of a plan, and leaves word of it for other commands while it runs."""

import asyncio
import importlib
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from autodev_cli.errors import CommandError
from autodev_cli.mesh import lock, state
from autodev_cli.mesh.layout import SERVICES, MeshPlan, require_free
from autodev_cli.mesh.processes import Nursery
from autodev_cli.mesh.public_door import public_certificate
from autodev_cli.mesh.supervisor import FalseStart, Spec, State, Status, Supervisor, Watch
from autodev_cli.target import Target, key_from_files, key_path
from autodev_sdk.ending import ended

START_TIMEOUT_S = 60.0
RENEWAL_S = 3600.0
"""How often certificates are looked at."""
SANDBOX_PATIENCE_S = 3.0
"""How long a sandbox service may look for an isolation level after the others serve."""


@dataclass(frozen=True)
class RunningMesh:
    """A mesh that serves, all but perhaps its sandbox."""

    plan: MeshPlan
    supervisor: Supervisor
    target: Target

    @property
    def key_file(self) -> Path:
        """Where the workspace's development key is."""
        return key_path(self.plan.data_dir, self.plan.tenant)


@asynccontextmanager
async def running(plan: MeshPlan, report: Callable[[Status], None]) -> AsyncIterator[RunningMesh]:
    """The mesh, serving, within the block.

    Raises CommandError: a port is taken, another mesh has the directory, a service does not start, or the gateway is to
    have a certificate that is not for this machine.
    """
    certificate = public_certificate()
    with lock.held(plan.data_dir):
        require_free(plan.ports)
        async with (
            _certificates(plan),
            Nursery(_preload(plan), plan.data_dir / "logs" / "nursery.log") as nursery,
            Supervisor([_spec(plan, service, nursery) for service in SERVICES], report) as supervisor,
        ):
            try:
                await serving(plan, supervisor)
                trusted = certificate.read_bytes() if certificate is not None else None
                target = Target(plan.ports.address("gateway"), _key(plan), trusted)
                _leave_word(plan, certificate)
                yield RunningMesh(plan, supervisor, target)
            except FalseStart as error:
                raise CommandError(str(error)) from error
            finally:
                state.remove(plan.data_dir)


def _key(plan: MeshPlan) -> str:
    """The development key; where the gateway makes none, since a file says who may call, the caller's own."""
    path = key_path(plan.data_dir, plan.tenant)
    if path.exists():
        return path.read_text().strip()
    return os.environ.get("AUTODEV_API_KEY") or key_from_files(plan.data_dir, plan.tenant)


async def serving(plan: MeshPlan, supervisor: Supervisor) -> None:
    """Wait until all serve, the sandbox perhaps excepted. Raises CommandError where they do not, and FalseStart."""
    others = [name for name in SERVICES if name != "sandbox"]
    reached = await supervisor.until(
        lambda statuses: (
            all(statuses[name].state is State.SERVING for name in others)
            and statuses["sandbox"].state in (State.SERVING, State.NOT_SERVING)
        ),
        START_TIMEOUT_S,
    )
    if not reached:
        slow = [each.name for each in supervisor.statuses.values() if each.state is not State.SERVING]
        logs = ", ".join(str(_log(plan, name)) for name in slow)
        raise CommandError(f"not SERVING after {START_TIMEOUT_S:g} s: {', '.join(slow)}. See {logs}")
    # A sandbox that stays NOT_SERVING has found no isolation level: the mesh runs, and the caller tells.
    await supervisor.until_serving(SANDBOX_PATIENCE_S)


def _preload(plan: MeshPlan) -> Sequence[str]:
    """What else the services will need at once: in a new directory, what makes the tables."""
    return () if any(plan.data_dir.glob("*.sqlite3")) else ("alembic.runtime.environment", "alembic.script")


def _log(plan: MeshPlan, service: str) -> Path:
    return plan.data_dir / "logs" / f"{service}.log"


def _spec(plan: MeshPlan, service: str, nursery: Nursery) -> Spec:
    log = _log(plan, service)
    return Spec(
        name=service,
        start=partial(nursery.start, f"autodev_{service}", plan.environment(service, os.environ), log),
        log=log,
        watch=_watch(plan, service),
    )


def _watch(plan: MeshPlan, service: str) -> Watch:
    async def watch(changed: Callable[[bool], None]) -> None:
        # Importing gRPC takes as long as starting a service: in a thread, it delays none of them.
        health = await asyncio.to_thread(importlib.import_module, "autodev_cli.mesh.health")
        await health.watch(_channel(plan, service, health), changed)

    return watch


def _channel(plan: MeshPlan, service: str, health: Any) -> Any:
    # The gateway is watched at the services' door: there it speaks as they do, whatever it speaks to clients.
    address = plan.ports.address("internal" if service == "gateway" else service)
    if not plan.mutual_tls:
        return health.plain_channel(address)
    from autodev_cli.certs.directory import CertificateDirectory

    return health.mesh_channel(service, address, CertificateDirectory(plan.certificates).files(service))


@asynccontextmanager
async def _certificates(plan: MeshPlan) -> AsyncIterator[None]:
    """Certificates for the services, kept valid within the block."""
    if not plan.mutual_tls:
        yield
        return
    # Here, since it takes a tenth of a second, and most meshes of one machine have none.
    from autodev_cli.certs.directory import CertificateDirectory

    directory = CertificateDirectory(plan.certificates)
    directory.keep_valid()

    async def renew() -> None:
        while True:
            await asyncio.sleep(RENEWAL_S)
            await asyncio.to_thread(directory.keep_valid)

    renewing = asyncio.ensure_future(renew())
    try:
        yield
    finally:
        await ended(renewing)


def _leave_word(plan: MeshPlan, certificate: Path | None) -> None:
    state.write(
        plan.data_dir,
        state.MeshState(
            pid=os.getpid(),
            gateway=plan.ports.address("gateway"),
            addresses={name: plan.ports.address(name) for name in (*SERVICES, "http")},
            certificate=str(certificate) if certificate is not None else None,
        ),
    )
