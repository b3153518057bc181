"""`autodev replay`: what the mesh learns from recorded attempts."""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from autodev_cli.episodes import Attempt, Task, read_attempts, read_tasks, sample_dir
from autodev_cli.errors import CommandError, UsageError
from autodev_cli.mesh.layout import MeshPlan, ports_named
from autodev_cli.mesh.running import running
from autodev_cli.options import AllowProcess, Connection, connected, new_app
from autodev_cli.output import console, one_line, print_json, print_table, say
from autodev_cli.replay.dealing import limited
from autodev_cli.replay.progress import Ending
from autodev_cli.replay.results import TaskResult
from autodev_cli.replay.run import ReplayOptions, ReplayResult, Said, replay
from autodev_cli.target import Target, find, run, telling_failures
from autodev_cli.told import finished

app = new_app()

COUNTS = (
    *("task", "failures", "successes", "patterns", "candidates", "validated", "held out", "approved", "promoted"),
    *("all tests", "by"),
)
TIMES = ("task", "published s", "first s", "p50 s", "proposing s", "sandbox s")
TABLE_WIDTH = 190


@app.command("replay")
@connected
def replay_command(
    connection: Connection,
    tasks: Annotated[Path | None, typer.Option("--tasks", help="tasks.json. Default: the project's sample.")] = None,
    attempts: Annotated[Path | None, typer.Option("--attempts", help="attempts.jsonl. Default: the sample's.")] = None,
    agents_per_task: Annotated[int, typer.Option("--agents-per-task", min=1, help="See above.")] = 10,
    case_bank: Annotated[bool, typer.Option(help="Whether code that worked elsewhere may be proposed.")] = True,
    approve: Annotated[bool, typer.Option(help="Approve what was validated, as a reviewer would.")] = True,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Failures, and successes, of each task.")] = None,
    patience_s: Annotated[
        float, typer.Option("--patience", min=1, max=604_800, help="Seconds without any news.")
    ] = 120.0,
    up: Annotated[bool, typer.Option("--up", help="Start a mesh for it in a temporary directory.")] = False,
    allow_process_sandbox: AllowProcess = False,
) -> None:
    """Report recorded attempts as episodes, by the public RPCs only, and print what was learnt, a row a task.

    What a failing attempt printed is found by running it in the mesh's sandbox, unless the file has it.

    The attempts of a task are dealt in turns to --agents-per-task agents, under names of this run: recorded people or
    agents mostly fail once at a task, and only failures of one agent make a pattern. Each agent gets at least two.
    Successes go to other agents and are reported first.

    The workspace's settings are changed for the time of the replay, and put back.
    """
    if allow_process_sandbox and not up:
        raise UsageError("--allow-process-sandbox: only with --up, which starts a mesh")
    wanted = read_tasks(tasks or sample_dir() / "tasks.json")
    recorded = limited(read_attempts(attempts or sample_dir() / "attempts.jsonl", wanted), limit)
    if not recorded:
        raise CommandError("there are no attempts to replay")
    ending = Ending.PROMOTION if approve else Ending.REVIEW
    options = ReplayOptions(agents_per_task, case_bank, ending, patience_s)
    with _saying(quiet=connection.json) as said:
        if up:
            result = finished(_on_own_mesh(wanted, recorded, options, said, allow_process_sandbox))
        else:
            result = run(find(connection), lambda mesh: replay(mesh, wanted, recorded, options, said))
    if connection.json:
        print_json({**asdict(result), "options": {**asdict(options), "ending": ending.name.lower()}})
    else:
        print_result(result)
    if result.undone:
        raise CommandError(
            f"nothing happened for {patience_s:g} s, and {len(result.undone)} were not done; first: {result.undone[0]}"
        )


async def _on_own_mesh(
    tasks: dict[str, Task], attempts: list[Attempt], options: ReplayOptions, said: Said, allow_process: bool
) -> ReplayResult:
    with tempfile.TemporaryDirectory(prefix="autodev-replay-") as directory:
        plan = MeshPlan(Path(directory), ports_named("auto"), "default", allow_process)
        async with running(plan, lambda _: None) as mesh:
            return await _with_client(mesh.target, tasks, attempts, options, said)


async def _with_client(
    target: Target, tasks: dict[str, Task], attempts: list[Attempt], options: ReplayOptions, said: Said
) -> ReplayResult:
    with telling_failures(target):
        async with target.client() as client:
            return await replay(client, tasks, attempts, options, said)


@contextmanager
def _saying(*, quiet: bool) -> Iterator[Said]:
    """Progress on stderr: bars on a terminal, else a line when a phase ends."""
    if quiet:
        yield lambda *_: None
        return
    if not sys.stderr.isatty():
        yield _say_ended
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description:16}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        known: dict[str, TaskID] = {}

        def said(phase: str, done: int, of: int) -> None:
            if phase not in known:
                known[phase] = bars.add_task(phase, total=of)
            bars.update(known[phase], completed=done, total=of)

        yield said


def _say_ended(phase: str, done: int, of: int) -> None:
    if done == of and of:
        print(f"{phase}: {done}", file=sys.stderr, flush=True)


def print_result(result: ReplayResult) -> None:
    """The table, in two where the terminal is too narrow for it, and what it does not hold."""
    rows = [(_counts(each), _times(each)) for each in result.tasks]
    if console().width >= TABLE_WIDTH:
        print_table((*COUNTS, *TIMES[1:]), [(*counts, *times[1:]) for counts, times in rows], empty="")
    else:
        print_table(COUNTS, [counts for counts, _ in rows], empty="")
        print_table(TIMES, [times for _, times in rows], empty="")
    say(
        "held out: held-out examples passed by validated candidates. all tests: promoted skills that, run by "
        "ExecuteSkill, pass every test of the task. first s: publishing to the first validation. p50 s: failure to "
        "validation. proposing s, sandbox s: in all, proposing and validating.",
        style="dim",
    )
    say(f"traces took {result.trace_s:.1f} s, everything {result.total_s:.1f} s", style="dim")
    if result.unexplained:
        say(f"{result.unexplained} failures passed every test when they were run again")
    for task in result.tasks:
        for reason in task.without_candidate:
            say(f"{task.task_id}: without a candidate: {one_line(reason, 160)}")


def _counts(task: TaskResult) -> tuple[object, ...]:
    return (
        task.task_id,
        task.failures,
        task.successes,
        task.patterns,
        task.candidates,
        task.validated,
        f"{task.held_out_passed}/{task.held_out_examples}",
        task.approved,
        task.promoted,
        f"{task.skills_passing_all}/{task.skills_checked}",
        ", ".join(f"{name} {count}" for name, count in sorted(task.proposers.items())),
    )


def _times(task: TaskResult) -> tuple[object, ...]:
    return (
        task.task_id,
        f"{task.published_s:.2f}",
        "" if task.first_validated_s is None else f"{task.first_validated_s:.2f}",
        "" if task.median_s is None else f"{task.median_s:.2f}",
        f"{task.proposing_s:.1f}",
        f"{task.sandbox_s:.1f}",
    )
