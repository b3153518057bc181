"""The nursery, with real processes: modules that it forks run as if they had been started by themselves."""

import asyncio
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from autodev_cli.mesh.processes import GONE, Nursery
from autodev_cli.mesh.state import is_alive

WAIT_S = 30.0
SLEEPER = "import time\nprint('up', flush=True)\ntime.sleep(60)\n"


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A nursery finds the test's modules."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)


@pytest.fixture
async def nursery(found: None, tmp_path: Path) -> AsyncIterator[Nursery]:
    async with Nursery((), tmp_path / "nursery.log") as opened:
        yield opened


def module(directory: Path, name: str, text: str) -> str:
    (directory / f"{name}.py").write_text(text)
    return name


async def run(nursery: Nursery, directory: Path, name: str, **environment: str) -> tuple[int, str]:
    """Run a module to its end: its exit code and what it printed."""
    log = directory / f"{name}.log"
    process = await nursery.start(name, environment, log)
    async with asyncio.timeout(WAIT_S):
        code = await process.wait()
    return code, log.read_text()


async def test_a_module_runs_as_main_with_its_environment_and_its_log(nursery: Nursery, tmp_path: Path) -> None:
    text = "import os, sys\nprint(__name__, sys.argv, dict(os.environ))\nprint('oops', file=sys.stderr)\n"
    code, log = await run(nursery, tmp_path, module(tmp_path, "says", text), COLOUR="blue")
    assert code == 0
    assert log.splitlines()[0].startswith("__main__ [")
    assert "{'COLOUR': 'blue'}" in log
    assert "oops" in log


@pytest.mark.usefixtures("found")
async def test_nobody_else_may_read_logs_also_those_that_were_there_already(tmp_path: Path) -> None:
    logs = [tmp_path / "says.log", tmp_path / "nursery.log"]
    for log in logs:
        log.write_text("before\n")
        log.chmod(0o644)
    async with Nursery((), tmp_path / "nursery.log") as nursery:
        _, said = await run(nursery, tmp_path, module(tmp_path, "says", "print('after')"))
    assert said == "before\nafter\n"
    assert [stat.S_IMODE(log.stat().st_mode) for log in logs] == [0o600, 0o600]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import sys; sys.exit(3)", 3),
        ("import sys; sys.exit('no such setting')", 1),
        ("raise ValueError('no such setting')", 1),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
    ],
)
async def test_how_a_module_ends_is_told(nursery: Nursery, tmp_path: Path, text: str, expected: int) -> None:
    code, log = await run(nursery, tmp_path, module(tmp_path, "ends", text))
    assert code == expected
    assert "nursery" not in log.replace(str(tmp_path), "").replace("mesh/nursery.py", "")


async def test_modules_run_side_by_side_and_hear_their_signals(nursery: Nursery, tmp_path: Path) -> None:
    names = [module(tmp_path, f"sleeper_{number}", SLEEPER) for number in range(3)]
    processes = [await nursery.start(name, {}, tmp_path / f"{name}.log") for name in names]
    assert len({process.pid for process in processes}) == 3
    processes[0].send_signal(signal.SIGTERM)
    async with asyncio.timeout(WAIT_S):
        assert await processes[0].wait() == -signal.SIGTERM
    assert [is_alive(process.pid) for process in processes[1:]] == [True, True]
    for process in processes[1:]:
        process.send_signal(signal.SIGKILL)


async def test_a_nursery_that_dies_takes_its_processes_along_and_is_replaced(nursery: Nursery, tmp_path: Path) -> None:
    name = module(tmp_path, "sleeper", SLEEPER)
    process = await nursery.start(name, {}, tmp_path / "sleeper.log")
    os.kill(parent_of(process.pid), signal.SIGKILL)
    async with asyncio.timeout(WAIT_S):
        assert await process.wait() == GONE
        again = await nursery.start(name, {}, tmp_path / "sleeper.log")
    assert is_alive(again.pid)
    again.send_signal(signal.SIGKILL)
    until_gone(process.pid)


async def test_a_nursery_that_takes_long_to_end_is_waited_for(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    lingering = (
        "import os, pathlib, runpy, sys, time\n"
        "sys.argv = sys.argv[3:]\n"
        "runpy.run_module(sys.argv[0], run_name='__main__')\n"
        "os.close(1)\n"
        "time.sleep(0.5)\n"
        f"pathlib.Path({str(gone)!r}).touch()\n"
    )
    async with Nursery((), tmp_path / "nursery.log", (sys.executable, "-c", lingering)):
        pass
    assert gone.exists()


def test_processes_end_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    module(tmp_path, "sleeper", SLEEPER)
    program = (
        "import asyncio, pathlib\n"
        "from autodev_cli.mesh.processes import Nursery\n"
        "async def main():\n"
        "    async with Nursery((), pathlib.Path('nursery.log')) as nursery:\n"
        "        process = await nursery.start('sleeper', {}, pathlib.Path('sleeper.log'))\n"
        "        print(process.pid, flush=True)\n"
        "        await process.wait()\n"
        "asyncio.run(main())\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, cwd=tmp_path) as supervisor:
        assert supervisor.stdout is not None
        pid = int(supervisor.stdout.readline())
        assert is_alive(pid)
        supervisor.kill()
    until_gone(pid)


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def until_gone(pid: int) -> None:
    deadline = time.monotonic() + WAIT_S
    while _runs(pid):
        assert time.monotonic() < deadline, "the process outlived what it was to end with"


def _runs(pid: int) -> bool:
    """Whether the process runs; one that has ended and that nobody waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
