"""`autodev up`: the whole mesh on this machine."""

import asyncio
import os
import signal
import time
from typing import Any

from autodev_cli.mesh.ignored import ignored
from autodev_cli.mesh.layout import DEFAULT_PORTS, MeshPlan, ports_named
from autodev_cli.mesh.running import RunningMesh, running
from autodev_cli.mesh.supervisor import State, Status
from autodev_cli.mesh.view import showing
from autodev_cli.options import (
    DEFAULT_DATA_DIR,
    DEFAULT_TENANT,
    AllowProcess,
    DataDir,
    MutualTls,
    Output,
    OutputFormat,
    Ports,
    Tenant,
    new_app,
)
from autodev_cli.output import print_json_line, say
from autodev_cli.readers import print_nowhere
from autodev_cli.sandbox import levels_of, lines_of, settled_status
from autodev_cli.told import until_told

app = new_app()

HINT = "Ctrl-C ends it. In another terminal: autodev status, autodev events tail -f, autodev demo"


@app.command()
def up(
    data_dir: DataDir = DEFAULT_DATA_DIR,
    tenant: Tenant = DEFAULT_TENANT,
    allow_process_sandbox: AllowProcess = False,
    ports: Ports = DEFAULT_PORTS,
    mutual_tls: MutualTls = False,
    output: OutputFormat = Output.TEXT,
) -> None:
    """Start the whole mesh on this machine and keep it running; Ctrl-C ends it."""
    plan = MeshPlan(data_dir, ports_named(ports), tenant, allow_process_sandbox, mutual_tls)
    until_told(serve(plan, output))


async def serve(plan: MeshPlan, output: Output) -> None:
    """Run the mesh until cancelled."""
    if output is Output.JSON:
        async with running(plan, lambda status: _tell(status_dict(status, plan))) as mesh:
            async with mesh.target.client() as client:
                _tell({"ready": mesh.target.address, "sandbox": levels_of(await settled_status(client))})
            await for_ever()
        return
    started = time.monotonic()
    with showing(plan.ports) as report:
        async with running(plan, report) as mesh:
            await tell_ready(mesh, time.monotonic() - started)
            say(HINT, style="dim")
            await for_ever()


def _tell(value: Any) -> None:
    """A line for the machine that reads; where it reads no more, the mesh is asked to end."""
    try:
        print_json_line(value)
    except BrokenPipeError:
        print_nowhere()
        signal.raise_signal(signal.SIGTERM)


async def for_ever() -> None:
    """Wait to be cancelled."""
    await asyncio.Event().wait()


async def tell_ready(mesh: RunningMesh, seconds: float) -> None:
    """Say what was set in vain, what the sandbox is, where the key is, and how long it took."""
    for line in ignored(os.environ):
        say(line, style="yellow")
    async with mesh.target.client() as client:
        for line in lines_of(await settled_status(client)):
            say(line)
    serving = sum(each.state is State.SERVING for each in mesh.supervisor.statuses.values())
    key = f"key in {mesh.key_file}" if mesh.key_file.exists() else "no development key"
    say(
        f"{serving} of {len(mesh.supervisor.statuses)} services SERVING after {seconds:.1f} s; "
        f"gateway {mesh.target.address}, {key}, logs in {mesh.plan.data_dir / 'logs'}"
    )


def status_dict(status: Status, plan: MeshPlan) -> dict[str, Any]:
    """A service's state as JSON has it."""
    return {
        "service": status.name,
        "state": status.state.value,
        "pid": status.pid,
        "address": plan.ports.address(status.name),
        "restarts": status.restarts,
        "note": status.note,
    }
