"""The supervisor, with real processes: small programs that say by a file that they serve."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from autodev_cli.errors import CommandError
from autodev_cli.mesh import running
from autodev_cli.mesh.layout import SERVICES, MeshPlan, Ports
from autodev_cli.mesh.processes import Process
from autodev_cli.mesh.state import is_alive
from autodev_cli.mesh.supervisor import FalseStart, Spec, State, Status, Supervisor, last_line

WAIT_S = 20.0
SERVES = "import pathlib, signal, sys, time\npathlib.Path(sys.argv[1]).touch()\n"
SLEEPS = SERVES + "time.sleep(60)\n"
DRAINS = """
import pathlib, signal, sys, time
def drain(*_):
    pathlib.Path(sys.argv[1] + ".drained").touch()
    sys.exit(0)
signal.signal(signal.SIGTERM, drain)
pathlib.Path(sys.argv[1]).touch()
time.sleep(60)
"""
STUBBORN = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SLEEPS
FAILS = "import sys\nprint('no such setting')\nsys.exit(3)\n"


def spec(directory: Path, program: str, name: str = "one") -> Spec:
    """A process that runs the program; it serves while the file that it makes is there."""
    serving = directory / name

    async def watch(changed: Callable[[bool], None]) -> None:
        while True:
            changed(serving.exists())
            await asyncio.sleep(0.01)

    log = directory / f"{name}.log"

    async def start() -> Process:
        with log.open("ab") as output:
            command = [sys.executable, "-I", "-c", program, str(serving)]
            return await asyncio.create_subprocess_exec(*command, stdout=output, stderr=output)

    return Spec(name, start, log, watch)


async def test_processes_serve_side_by_side_and_drain_on_the_way_out(tmp_path: Path) -> None:
    reported: list[Status] = []
    specs = [spec(tmp_path, DRAINS, name) for name in ("one", "two")]
    async with Supervisor(specs, reported.append) as supervisor:
        assert await supervisor.until_serving(WAIT_S)
        pids = {status.pid for status in supervisor.statuses.values()}
        assert all(pid is not None and is_alive(pid) for pid in pids)
    assert (tmp_path / "one.drained").exists()
    assert (tmp_path / "two.drained").exists()
    assert {status.state for status in supervisor.statuses.values()} == {State.STOPPED}
    assert {status.state for status in reported} >= {State.STARTING, State.SERVING, State.STOPPED}


async def test_a_process_that_does_not_listen_is_killed_after_a_bounded_wait(tmp_path: Path) -> None:
    async with Supervisor([spec(tmp_path, STUBBORN)], lambda _: None, kill_after_s=0.2) as supervisor:
        assert await supervisor.until_serving(WAIT_S)
        pid = supervisor.statuses["one"].pid
        assert pid is not None
    assert not is_alive(pid)


async def test_a_process_that_dies_is_started_again_and_said_so(tmp_path: Path) -> None:
    reported: list[Status] = []
    async with Supervisor([spec(tmp_path, SLEEPS)], reported.append) as supervisor:
        assert await supervisor.until_serving(WAIT_S)
        first = supervisor.statuses["one"].pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        again = await supervisor.until(
            lambda statuses: statuses["one"].state is State.SERVING and statuses["one"].pid != first, WAIT_S
        )
        assert again
        assert supervisor.statuses["one"].restarts == 1
    died = next(status for status in reported if status.state is State.WAITING)
    assert "SIGKILL" in died.note
    assert "starts again" in died.note


async def test_a_process_that_never_serves_is_given_up_with_its_last_words(tmp_path: Path) -> None:
    async with Supervisor([spec(tmp_path, FAILS)], lambda _: None) as supervisor:
        with pytest.raises(FalseStart, match=r"one does not start: ended with status 3, 3 times.*no such setting"):
            await supervisor.until_serving(WAIT_S)


async def test_a_process_that_cannot_start_with_what_it_was_given_is_given_up_at_once(tmp_path: Path) -> None:
    program = "import sys\nprint('AUTODEV_PORT: taken', file=sys.stderr)\nsys.exit(2)\n"
    reported: list[Status] = []
    async with Supervisor([spec(tmp_path, program)], reported.append) as supervisor:
        with pytest.raises(FalseStart, match=r"one does not start: ended with status 2\..*AUTODEV_PORT: taken"):
            await supervisor.until_serving(WAIT_S)
    assert State.WAITING not in {status.state for status in reported}


async def test_what_does_not_serve_in_time_is_told(tmp_path: Path) -> None:
    async with Supervisor([spec(tmp_path, "import time\ntime.sleep(60)\n")], lambda _: None) as supervisor:
        assert not await supervisor.until_serving(0.2)


async def test_services_that_do_not_serve_in_time_are_named_with_their_logs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "START_TIMEOUT_S", 0.2)
    programs = dict.fromkeys(SERVICES, SLEEPS) | {"learning": "import time\ntime.sleep(60)\n"}
    specs = [spec(tmp_path, program, name) for name, program in programs.items()]
    async with Supervisor(specs, lambda _: None) as supervisor:
        others = [name for name in SERVICES if name != "learning"]
        assert await supervisor.until(lambda known: {known[name].state for name in others} == {State.SERVING}, WAIT_S)
        with pytest.raises(CommandError, match=r"not SERVING after 0.2 s: learning. See .*/logs/learning.log$"):
            await running.serving(MeshPlan(tmp_path, Ports(), "default"), supervisor)


def test_the_last_line_of_a_log_is_the_last_that_says_something(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("first\n  last words\n    For further information visit https://example.com\n\n  \n")
    assert last_line(tmp_path / "log") == "last words"
    assert last_line(tmp_path / "none") == ""


async def test_a_process_that_cannot_be_started_is_given_up_too(tmp_path: Path) -> None:
    async def start() -> Process:
        raise OSError("no memory for it")

    cannot = replace(spec(tmp_path, SLEEPS), start=start)
    async with Supervisor([cannot], lambda _: None) as supervisor:
        with pytest.raises(FalseStart, match="could not be started: no memory for it, 3 times"):
            await supervisor.until_serving(WAIT_S)
