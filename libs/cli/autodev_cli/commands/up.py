"""`autodev up`: the whole mesh on this machine."""

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable, Coroutine
from typing import Any

from autodev_cli.mesh.layout import MeshPlan, ports_named
from autodev_cli.mesh.running import RunningMesh, running
from autodev_cli.mesh.supervisor import State, Status
from autodev_cli.mesh.view import showing
from autodev_cli.options import (
    DEFAULT_DATA_DIR,
    DEFAULT_TENANT,
    AllowProcess,
    DataDir,
    Output,
    OutputFormat,
    Ports,
    Tenant,
    new_app,
)
from autodev_cli.output import console, print_json_line
from autodev_cli.sandbox import levels_of, lines_of, settled_status

app = new_app()

HINT = "Ctrl-C ends it. In another terminal: autodev status, autodev events tail -f, autodev demo"


@app.command()
def up(
    data_dir: DataDir = DEFAULT_DATA_DIR,
    tenant: Tenant = DEFAULT_TENANT,
    allow_process_sandbox: AllowProcess = False,
    ports: Ports = "default",
    output: OutputFormat = Output.TEXT,
) -> None:
    """Start the whole mesh on this machine and keep it running; Ctrl-C ends it."""
    plan = MeshPlan(data_dir, ports_named(ports), tenant, allow_process_sandbox)
    until_told(lambda stop: serve(plan, output, stop))


def until_told(work: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> None:
    """Run `work` with an event that SIGINT, SIGTERM and SIGHUP set. Before it looks, they cancel it."""

    async def main() -> None:
        stop = asyncio.Event()
        task = asyncio.ensure_future(work(stop))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        stopping = asyncio.ensure_future(stop.wait())
        await asyncio.wait((task, stopping), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            task.cancel()
        stopping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(main())


async def serve(plan: MeshPlan, output: Output, stop: asyncio.Event) -> None:
    """Run the mesh until told to stop."""
    if output is Output.JSON:
        async with running(plan, lambda status: print_json_line(status_dict(status, plan))) as mesh:
            async with mesh.target.client() as client:
                print_json_line({"ready": mesh.target.address, "sandbox": levels_of(await settled_status(client))})
            await stop.wait()
        return
    started = time.monotonic()
    with showing(plan.ports) as report:
        async with running(plan, report) as mesh:
            await tell_ready(mesh, time.monotonic() - started)
            console().print(HINT, style="dim")
            await stop.wait()


async def tell_ready(mesh: RunningMesh, seconds: float) -> None:
    """Say what the sandbox is, where the key is, and how long it took."""
    async with mesh.target.client() as client:
        for line in lines_of(await settled_status(client)):
            console().print(line, markup=False)
    serving = sum(each.state is State.SERVING for each in mesh.supervisor.statuses.values())
    console().print(
        f"{serving} of {len(mesh.supervisor.statuses)} services SERVING after {seconds:.1f} s; "
        f"gateway {mesh.target.address}, key in {mesh.key_file}, logs in {mesh.plan.data_dir / 'logs'}"
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
