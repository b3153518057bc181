"""Nothing outlives an execution: not a process, a container, a control group or a directory."""

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
from pathlib import Path
from uuid import uuid4

import docker
import pytest

from autodev_sandbox import cgroup, rootfs
from autodev_sandbox.backends import Backend
from autodev_sandbox.backends.container import ContainerBackend
from autodev_sandbox.backends.engine import OWNER_LABEL
from autodev_sandbox.backends.process import FOLDER_PREFIX
from autodev_sandbox.execution import Execution, IsolationLevel, Limits, Status
from autodev_sandbox.running import run_on
from tests.integration.sandbox.conftest import eventually, ready

# Names itself so that it can be found from outside, and has a child that would outlive it.
DAEMON = """
import ctypes, os, time
def f(name, wait):
    ctypes.CDLL(None).prctl(15, name.encode(), 0, 0, 0)
    if os.fork() == 0:
        LEAVE
        while True: time.sleep(1)
    while wait: time.sleep(1)
    return 1
"""
SERVICE = """
import asyncio, sys
from pathlib import Path
from autodev_sandbox.backends.{module} import {name}
from autodev_sandbox.execution import Execution, Limits
from autodev_sandbox.running import run_on

async def main():
    backend = {name}({arguments})
    await backend.probe()
    await run_on(backend, Execution(sys.argv[1], "f", dict(name=sys.argv[2], wait=1), Limits(timeout_s=60)))

asyncio.run(main())
"""


def marked(name: str) -> list[int]:
    """The machine's living processes of that name."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            process, _, rest = entry.read_text().partition(f" ({name}) ")
        except OSError:
            continue  # It ended while we looked.
        if rest and not rest.startswith("Z"):
            found.append(int(process))
    return found


def marker() -> str:
    return f"ad-{uuid4().hex[:10]}"


def daemon(backend: Backend) -> str:
    # At the process level a session of its own is a way out, which is one reason why that level is opt-in.
    return DAEMON.replace("LEAVE", "pass" if backend.level is IsolationLevel.PROCESS else "os.setsid()")


def groups() -> set[Path]:
    """The groups on the machine, but those of other services that live: other tests run beside this one."""
    # Containers come and go meanwhile: what is gone is passed over.
    walked = os.walk(cgroup.MOUNT)
    found = {Path(folder, name) for folder, names, _ in walked for name in names if name.startswith(cgroup.NAME)}
    held = locked_by_others()
    return {each for each in found if identity(each) not in held}


def locked_by_others() -> set[str]:
    """What other processes hold, as each holds the folder of its groups. As /proc/locks names files."""
    locks = [line.split() for line in Path("/proc/locks").read_text().splitlines() if "->" not in line]
    return {file for _, _, _, _, process, file, *_ in locks if int(process) != os.getpid()}


def identity(folder: Path) -> str:
    try:
        status = folder.stat()
    except FileNotFoundError:
        return ""
    return f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"


def containers_of(process: int, *, started: bool = False) -> set[str]:
    """The containers that a service's process made."""
    with contextlib.closing(docker.from_env()) as client:
        found = client.api.containers(all=True, filters={"label": OWNER_LABEL})
    own = [each for each in found if each["Labels"][OWNER_LABEL].startswith(f"{process}-")]
    return {each["Id"] for each in own if not started or each["State"] != "created"}


def containers_with(label: str) -> set[str]:
    with contextlib.closing(docker.from_env()) as client:
        return {each["Id"] for each in client.api.containers(all=True, filters={"label": label})}


def only_waiting(backend: ContainerBackend) -> bool:
    status = backend.pool_status()
    used = status.in_use + status.ending + status.starting
    assert backend.engine
    return used == 0 and len(containers_with(backend.engine.owner_label)) == status.ready


def folders() -> set[Path]:
    return set(Path(tempfile.gettempdir()).glob(FOLDER_PREFIX + "*"))


async def test_a_daemon_ends_with_its_execution(backend: Backend) -> None:
    name = marker()
    outcome = await run_on(backend, Execution(daemon(backend), "f", {"name": name, "wait": 0}))
    assert outcome.value == 1
    await eventually(lambda: marked(name) == [], "the daemon is gone")


async def test_a_timeout_ends_everything(backend: Backend) -> None:
    name = marker()
    execution = Execution(daemon(backend), "f", {"name": name, "wait": 1}, Limits(timeout_s=1))
    assert (await run_on(backend, execution)).status is Status.TIMEOUT
    await eventually(lambda: marked(name) == [], "the code and its child are gone")


async def test_a_call_that_is_cancelled_ends_everything(backend: Backend) -> None:
    name = marker()
    execution = Execution(daemon(backend), "f", {"name": name, "wait": 1}, Limits(timeout_s=60))
    running = asyncio.create_task(run_on(backend, execution))
    await eventually(lambda: len(marked(name)) == 2, "the code and its child run")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await eventually(lambda: marked(name) == [], "they are gone")


async def test_no_group_container_or_folder_is_left(
    backend: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = groups(), folders()
    for code in ("x = 1", "1 / 0", "import os; os.kill(os.getpid(), 9)"):
        await run_on(backend, Execution(code))
    await eventually(lambda: groups() <= before[0] and folders() <= before[1], "groups and folders are removed")
    if isinstance(backend, ContainerBackend):
        await eventually(lambda: only_waiting(backend), "only the containers that wait are there")


@pytest.mark.parametrize(
    ("kind", "module", "name"),
    [
        ("container", "container", "ContainerBackend"),
        ("namespace", "namespace", "NamespaceBackend"),
        ("process", "process", "ProcessBackend"),
    ],
)
async def test_a_service_that_is_killed_takes_its_sandboxes_along(
    kind: str, module: str, name: str, tmp_path: Path
) -> None:
    backend = await ready(kind)
    await backend.close()
    arguments = "" if kind == "process" else f"Path({str(rootfs.default_cache())!r})"
    service = SERVICE.format(module=module, name=name, arguments=arguments)
    mark = marker()
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", service, daemon(backend), mark, env=environment
    )
    try:
        await eventually(lambda: len(marked(mark)) == 2, "the code and its child run")
    finally:
        os.kill(process.pid, signal.SIGKILL)
        await process.wait()
    await eventually(lambda: marked(mark) == [], "they are gone")
    if kind == "container":
        # The engine's own work: no service has looked for them. What was made and not started waits for the next one.
        await eventually(lambda: containers_of(process.pid, started=True) == set(), "what was started is gone")
        await (await ready(kind)).close()
        assert containers_of(process.pid) == set()


async def test_folders_of_a_killed_service_are_swept() -> None:
    old, young = (Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX)) for _ in range(2))
    os.utime(old, (0, 0))
    await ready("process")
    assert not old.exists()
    assert young.exists()
    young.rmdir()


async def test_folders_as_deep_as_they_come_are_removed() -> None:
    backend = await ready("process")
    before = folders()
    outcome = await run_on(backend, Execution("import os\nfor _ in range(3000): os.mkdir('deep'); os.chdir('deep')"))
    assert outcome.status is Status.OK
    await eventually(lambda: folders() <= before, "the folder is gone")
