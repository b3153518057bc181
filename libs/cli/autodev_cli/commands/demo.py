"""`autodev demo`: both learning loops, watched."""

import asyncio
import contextlib
import time
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import typer

from autodev_cli import workspace
from autodev_cli.commands.up import for_ever, tell_ready
from autodev_cli.demo.evolver import SLOW_TASK, EvolverOutcome, StepMissing, evolver_loop
from autodev_cli.demo.memento import MementoOutcome, memento_loop, of_this_run
from autodev_cli.demo.story import Story
from autodev_cli.episodes import read_attempts, read_tasks, sample_dir
from autodev_cli.errors import CommandError, UsageError
from autodev_cli.mesh.layout import DEFAULT_PORTS, MeshPlan, ports_named
from autodev_cli.mesh.running import running
from autodev_cli.mesh.view import showing
from autodev_cli.options import AllowProcess, Connection, Ports, connected, new_app
from autodev_cli.output import print_json, say, say_lines
from autodev_cli.sandbox import ADVICE, settled_status
from autodev_cli.target import Target, find, telling_failures
from autodev_cli.told import finished
from autodev_sdk import AutoDevClient

app = new_app()

NEXT = """\
The mesh stays up; Ctrl-C ends it. In another terminal:
  autodev skills list                                  what the agents can do now
  autodev skills run add_months 'add_months("2024-01-31", 1)'
  autodev skills show unique                           its versions; autodev skills rollback unique goes back
  autodev events tail --follow                         everything that happens
  autodev replay --tasks T --attempts A                your own recorded attempts
From a program: examples/python_client.py"""


@dataclass(frozen=True)
class DemoOutcome:
    """How both loops went. `evolver_missing`: why the second did not close."""

    memento: MementoOutcome
    evolver: EvolverOutcome | None
    evolver_missing: str
    seconds: float

    @property
    def closed(self) -> bool:
        """Whether both loops closed."""
        return self.memento.closed and self.evolver is not None


@app.command()
@connected
def demo(
    connection: Connection,
    up: Annotated[bool, typer.Option("--up", help="Start the mesh first, in --data-dir.")] = False,
    leave: Annotated[bool, typer.Option("--exit", help="With --up: end after the demo, and the mesh with it.")] = False,
    allow_process_sandbox: AllowProcess = False,
    ports: Ports = DEFAULT_PORTS,
) -> None:
    """Watch both learning loops close on sample episodes. Exit status 0 only if both do.

    On a mesh that runs already, the workspace's settings are changed for the time of the demonstration, and put back;
    with --up, Auto-Dev stays turned on. The demonstration's agents and skills stay either way.
    """
    if not up:
        _require_no_start(leave, allow_process_sandbox, ports)
        target = find(connection)
        closed = finished(_on_running(target, connection))
    else:
        plan = MeshPlan(connection.data_dir, ports_named(ports), connection.tenant, allow_process_sandbox)
        closed = finished(_with_mesh(plan, connection, stay=not leave))
    raise typer.Exit(0 if closed else 1)


def _require_no_start(leave: bool, allow_process_sandbox: bool, ports: str) -> None:
    """Raises UsageError where options say how a mesh is started, and none is."""
    given = {"--exit": leave, "--allow-process-sandbox": allow_process_sandbox, "--ports": ports != DEFAULT_PORTS}
    if vain := [option for option, stated in given.items() if stated]:
        raise UsageError(f"{', '.join(vain)}: only with --up, which starts a mesh")


async def _with_mesh(plan: MeshPlan, connection: Connection, *, stay: bool) -> bool:
    started = time.monotonic()
    closed = False
    with showing(plan.ports, silent=connection.json) as report:
        async with running(plan, report) as mesh:
            if not connection.json:
                await tell_ready(mesh, time.monotonic() - started)
            closed = await _on(mesh.target, connection)
            if stay:
                if not connection.json:
                    say()
                    say_lines(NEXT)
                # Asked to end after the demonstration, it ends with its status.
                with contextlib.suppress(asyncio.CancelledError):
                    await for_ever()
    return closed


async def _on_running(target: Target, connection: Connection) -> bool:
    """On a mesh that others may use: its settings are theirs."""
    with telling_failures(target):
        async with target.client() as mesh, workspace.put_back(mesh):
            return await _on(target, connection)


async def _on(target: Target, connection: Connection) -> bool:
    """The demonstration on a mesh; whether both loops closed."""
    with telling_failures(target):
        async with target.client() as mesh:
            await _require_sandbox(mesh)
            outcome = await _both_loops(mesh, Story(silent=connection.json))
    if connection.json:
        print_json(_shaped(outcome))
    else:
        _conclude(outcome)
    return outcome.closed


async def _require_sandbox(mesh: AutoDevClient) -> None:
    if not (await settled_status(mesh)).default_isolation:
        raise CommandError(f"the demonstration needs a sandbox. {ADVICE}")


async def _both_loops(mesh: AutoDevClient, story: Story) -> DemoOutcome:
    started = time.monotonic()
    tasks = read_tasks(sample_dir() / "tasks.json")
    tasks, attempts = of_this_run(tasks, read_attempts(sample_dir() / "attempts.jsonl", tasks), SLOW_TASK)
    await workspace.enable(mesh)
    story.heading("Loop 1 (Memento): agents fail at the same thing, and it becomes a skill")
    memento = await memento_loop(mesh, tasks, attempts, story)
    story.heading("Loop 2 (AlphaEvolver): a skill that is slow is rewritten")
    evolver, missing = None, f"no skill came of {SLOW_TASK}"
    slow = next((each for each in memento.skills if each.task_id == SLOW_TASK), None)
    if slow is not None:
        try:
            evolver, missing = await evolver_loop(mesh, slow, story), ""
        except StepMissing as error:
            missing = str(error)
    return DemoOutcome(memento, evolver, missing, time.monotonic() - started)


def _conclude(outcome: DemoOutcome) -> None:
    say()
    memento, evolver = outcome.memento, outcome.evolver
    say(f"Loop 1 {_word(memento.closed)}: {len(memento.skills)} of {memento.tasks} tasks became skills that run right")
    for task_id, reason in memento.unsolved.items():
        say(f"  {task_id}: {reason}")
    if evolver is None:
        say(f"Loop 2 {_word(False)}: {outcome.evolver_missing}")
    else:
        say(
            f"Loop 2 {_word(True)}: {evolver.skill_name} {evolver.version} takes {evolver.after_s:.3f} s where it took "
            f"{evolver.before_s:.2f} s, {evolver.speed_up:,.0f} times as fast"
        )
    say(f"Both loops took {outcome.seconds:.0f} s.", style="dim")


def _word(closed: bool) -> str:
    return "closed" if closed else "did not close"


def _shaped(outcome: DemoOutcome) -> dict[str, Any]:
    shaped = asdict(outcome)
    shaped["closed"] = outcome.closed
    shaped["memento"]["closed"] = outcome.memento.closed
    if outcome.evolver is not None:
        shaped["evolver"]["speed_up"] = outcome.evolver.speed_up
    return shaped
