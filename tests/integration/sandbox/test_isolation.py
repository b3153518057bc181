"""What code can reach from a strong level: nothing of the machine."""

import errno
import os
import socket
from pathlib import Path

import pytest

from autodev_runtime.json_value import JsonValue
from autodev_sandbox import seccomp
from autodev_sandbox.backends import Backend
from autodev_sandbox.execution import Execution, Limits, Status
from autodev_sandbox.running import run_on
from tests.integration.sandbox.conftest import ready

FORBIDDEN_CALLS = ("mount", "unshare", "keyctl", "bpf", "perf_event_open", "init_module", "kexec_load", "setns")


async def tell(backend: Backend, body: str, limits: Limits = Limits(), **inputs: JsonValue) -> JsonValue:  # noqa: B008
    """The value of a function with this body."""
    code = f"def f({', '.join(inputs)}):\n" + "\n".join(f"  {line}" for line in body.splitlines())
    outcome = await run_on(backend, Execution(code=code, entry_point="f", inputs=inputs, limits=limits))
    assert outcome.status is Status.OK, outcome
    return outcome.value


async def test_there_is_no_network(strong: Backend) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        tried = await tell(strong, "import socket\nreturn socket.socket().connect_ex(('127.0.0.1', port))", port=port)
        assert tried != 0


async def test_no_file_of_the_machine_is_there(strong: Backend, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x")
    paths: list[JsonValue] = [
        str(secret),
        str(Path(__file__)),
        "/etc/shadow",
        "/root",
        "/home",
        "/bin/sh",
        "/usr/bin/env",
    ]
    assert await tell(strong, "import os\nreturn [p for p in paths if os.path.exists(p)]", paths=paths) == []


async def test_the_environment_is_empty(strong: Backend) -> None:
    assert await tell(strong, "import os\nreturn dict(os.environ)") == {}


async def test_only_tmp_can_be_written(strong: Backend) -> None:
    body = """
import os
written = []
for folder, _, _ in os.walk('/'):
    if folder.startswith(('/proc', '/sys')): continue
    try:
        with open(folder + '/x', 'w') as file: file.write('x')
        written.append(folder)
    except OSError: pass
return written"""
    assert await tell(strong, body) == ["/tmp"]


async def test_nothing_written_can_be_executed(strong: Backend) -> None:
    body = """
import os, shutil, subprocess, sys
shutil.copyfile(sys.executable, '/tmp/python')
try:
    os.chmod('/tmp/python', 0o755)
except PermissionError: pass
try:
    subprocess.run(['/tmp/python', '-c', ''])
except PermissionError: return 'refused'
return 'ran'"""
    assert await tell(strong, body) == "refused"


async def test_tmp_is_bounded(strong: Backend) -> None:
    body = """
size = 0
for number in range(3):
    try:
        with open(f'/tmp/{number}', 'wb') as file:
            for _ in range(6):
                size += file.write(bytes(1000000))
                file.flush()
    except OSError as error: return [error.errno, size]
return size"""
    assert await tell(strong, body, Limits(tmp_bytes=8_000_000)) == [errno.ENOSPC, 8_000_000]


async def test_the_user_is_nobody_and_stays_so(strong: Backend) -> None:
    body = "import os\ntry: os.setuid(0)\nexcept OSError: pass\nreturn [os.getuid(), os.geteuid(), os.getgid()]"
    assert await tell(strong, body) == [65534] * 3


async def test_dangerous_system_calls_are_refused(strong: Backend) -> None:
    column = seccomp.ARCHITECTURES[os.uname().machine].column
    numbers: list[JsonValue] = [seccomp.DENIED[name][column] for name in FORBIDDEN_CALLS]
    body = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
return [libc.syscall(number, 0x10000000, 0, 0, 0, 0, 0) for number in numbers]"""
    assert await tell(strong, body, numbers=numbers) == [-1] * len(numbers)


async def test_processes_of_the_machine_cannot_be_seen(strong: Backend) -> None:
    body = """
import os
def reachable(pid):
    try: os.kill(pid, 0)
    except ProcessLookupError: return False
    except PermissionError: return True
    return True
return [reachable(pid) for pid in pids]"""
    pids: list[JsonValue] = [pid for pid in (os.getpid(), os.getppid()) if pid > 10]
    assert await tell(strong, body, pids=pids) == [False] * len(pids)


async def test_a_fork_bomb_is_bounded(strong: Backend) -> None:
    body = """
import os, time
children = 0
while True:
    try:
        if os.fork() == 0: time.sleep(60)
    except BlockingIOError: return children
    children += 1"""
    children = await tell(strong, body, Limits(processes=20))
    assert isinstance(children, int)
    assert 15 <= children <= 20


SET = """
import ctypes, os, resource
libc, ioprio_set = ctypes.CDLL(None), {"x86_64": 251, "aarch64": 30}[os.uname().machine]
ways = {
    "limit": lambda who: resource.prlimit(who, resource.RLIMIT_NOFILE, (200, 200)),
    "affinity": lambda who: os.sched_setaffinity(who, os.sched_getaffinity(0)),
    "scheduler": lambda who: os.sched_setscheduler(who, os.SCHED_BATCH, os.sched_param(0)),
    "parameters": lambda who: os.sched_setparam(who, os.sched_param(0)),
    "priority": lambda who: os.setpriority(os.PRIO_PROCESS, who, os.getpriority(os.PRIO_PROCESS, 0)),
    "groups priority": lambda who: os.setpriority(os.PRIO_PGRP, who, 19),
    "users priority": lambda who: os.setpriority(os.PRIO_USER, 0, 19),
    "disk": lambda who: 1 / (libc.syscall(ioprio_set, 1, who, 0x6000) + 1),
}
done = []
for name, way in ways.items():
    try: way(who if who >= 0 else os.getpid())
    except (PermissionError, ZeroDivisionError): continue
    done.append(name)
return done"""


async def test_code_sets_the_limits_and_priorities_of_its_own_processes_and_not_its_supervisors(
    strong: Backend,
) -> None:
    own: JsonValue = ["limit", "affinity", "scheduler", "parameters", "priority", "disk"]
    assert await tell(strong, SET, who=1) == []
    assert await tell(strong, SET, who=0) == own
    assert await tell(strong, SET, who=-1) == own


@pytest.mark.parametrize("kind", ["container", "namespace"])
async def test_the_processor_share_is_bounded(kind: str) -> None:
    backend, seconds = await ready(kind), 2
    body = (
        "import time\nend = time.monotonic() + seconds\nwhile time.monotonic() < end: pass\nreturn time.process_time()"
    )
    used = await tell(backend, body, Limits(cpus=0.25), seconds=seconds)
    await backend.close()
    assert isinstance(used, float)
    assert used < 0.5 * seconds
