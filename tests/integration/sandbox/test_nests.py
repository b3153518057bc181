"""A nest serves one execution after the other: nothing of one reaches the next, nor the warden that forks both."""

import asyncio
import errno
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio

from autodev_runtime.json_value import JsonValue
from autodev_sandbox import cgroup, rootfs, seccomp
from autodev_sandbox.backends.bubblewrap import end_orphans, read_to_brace
from autodev_sandbox.backends.namespace import NamespaceBackend
from autodev_sandbox.execution import MIB, BackendUnavailable, Execution, Limits, Outcome, Status
from autodev_sandbox.running import run_on
from tests.conftest import require
from tests.integration.sandbox.conftest import eventually

FRESH = ("pid", "mnt", "ipc", "uts")
# What one execution leaves, as well as it can, and what the next one then finds of it.
LEFT_AND_FOUND: dict[str, tuple[str, str, JsonValue]] = {
    "files": (
        "open('/tmp/a', 'w').write('x'); os.mkdir('/tmp/b')",
        "return os.listdir('/tmp')",
        [],
    ),
    "environment and directory": (
        "os.environ['A'] = 'x'; os.mkdir('/tmp/d'); os.chdir('/tmp/d')",
        "return [dict(os.environ), os.getcwd()]",
        [{}, "/tmp"],
    ),
    "interpreter": (
        "import builtins; builtins.left = 1; sys.modules['left'] = os; sys.setrecursionlimit(77); sys.path.append('x')",
        "import builtins; return [hasattr(builtins, 'left'), 'left' in sys.modules, sys.getrecursionlimit(), "
        "'x' in sys.path]",
        [False, False, 1000, False],
    ),
    "settings of the process": (
        "os.umask(511); os.nice(19); os.sched_setaffinity(0, {0}); resource.setrlimit(resource.RLIMIT_NOFILE, (9, 9))",
        "mask = os.umask(0); return [mask, os.nice(0), len(os.sched_getaffinity(0)) == cores, "
        "resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 9]",
        [0o22, 0, True, True],
    ),
    "shared memory": (
        "assert min(libc.shmget(1234, 4096, 0o1666), libc.semget(1234, 1, 0o1666), libc.msgget(1234, 0o1666)) >= 0",
        "return [libc.shmget(1234, 4096, 0), libc.semget(1234, 1, 0), libc.msgget(1234, 0)]",
        [-1, -1, -1],
    ),
    "message queues": (
        "assert libc.mq_open(b'/left', 0o102, 0o666, None) >= 0",
        "return libc.mq_open(b'/left', 0o2)",
        -1,
    ),
    "abstract sockets": (
        "s = socket.socket(socket.AF_UNIX); s.bind(chr(0) + 'left'); s.listen(); linger()",
        "return socket.socket(socket.AF_UNIX).connect_ex(chr(0) + 'left')",
        errno.ECONNREFUSED,
    ),
    "listeners": (
        "s = socket.socket(); s.bind(('127.0.0.1', 4321)); s.listen(); linger()",
        "return socket.socket().connect_ex(('127.0.0.1', 4321))",
        errno.ECONNREFUSED,
    ),
    "processes": (
        "linger()",
        "return [n for n in range(1, 300) if n != os.getpid() and reachable(n)]",
        [1],
    ),
    "host name": (
        "try: socket.sethostname('left')\n  except PermissionError: pass",
        "return socket.gethostname()",
        "sandbox",
    ),
}
PRELUDE = """
import ctypes, os, resource, signal, socket, sys, time
libc = ctypes.CDLL(None, use_errno=True)
def linger():
    if os.fork() == 0:
        os.setsid()
        while True: time.sleep(1)
def reachable(pid):
    try: os.kill(pid, 0)
    except OSError: return False
    return True
"""
# What could reach the warden, if it were to be reached. Each must leave the nest in use.
ASSAULTS = {
    "kill all": "os.kill(-1, 9)",
    "kill the supervisor": "os.kill(1, 9)",
    "kill the group": "os.killpg(0, 9)",
    "interrupt the group": "signal.signal(2, signal.SIG_IGN); os.killpg(0, 2)",
    "stop the group": "signal.signal(20, signal.SIG_IGN); os.killpg(0, 20)",
    "leave the group": "os.setpgid(0, 0)",
    "kill the caller's parent": "os.kill(os.getppid(), 9)",
    "trace": "[libc.ptrace(16, n, 0, 0) for n in range(1, 300)]",
    "write to every descriptor": "[write(n, b'e0') for n in range(1000)]",
    "close every descriptor": "os.closerange(0, 1000)",
    "limit the parent": "resource.prlimit(1, resource.RLIMIT_CPU, (0, 0))",
    "fork without end": "forks()",
    "exit at once": "os._exit(3)",
    "crash": "ctypes.string_at(0)",
}
HELPERS = """
def write(descriptor, data):
    try: os.write(descriptor, data)
    except OSError: pass
def forks():
    while True:
        try: os.fork()
        except OSError: pass
"""
SERVICE = """
import asyncio, sys
from pathlib import Path
from autodev_sandbox import cgroup
from autodev_sandbox.backends.bubblewrap import end_orphans, read_to_brace
from autodev_sandbox.backends.namespace import NamespaceBackend
from autodev_sandbox.execution import Execution, Limits
from autodev_sandbox.running import run_on

async def main():
    cgroup.NAME = sys.argv[2]
    backend = NamespaceBackend(Path(sys.argv[1]), floor=3, ceiling=6)
    await backend.probe()
    print(backend.cgroups.homes["memory"] if backend.cgroups else "", flush=True)
    await run_on(backend, Execution("while True: pass", limits=Limits(timeout_s=60)))

asyncio.run(main())
"""


async def ready(floor: int, ceiling: int) -> NamespaceBackend:
    backend = NamespaceBackend(rootfs.default_cache(), floor=floor, ceiling=ceiling)
    try:
        await backend.probe()
    except BackendUnavailable as error:
        require(False, f"the namespace backend is not available: {error}")
    return backend


@pytest_asyncio.fixture(loop_scope="session")
async def one() -> AsyncIterator[NamespaceBackend]:
    """A backend with one nest, which all executions use in turn."""
    backend = await ready(floor=1, ceiling=1)
    yield backend
    await backend.close()


async def tell(backend: NamespaceBackend, body: str, limits: Limits = Limits(), **inputs: JsonValue) -> JsonValue:  # noqa: B008
    """The value of a function with this body."""
    code = f"{PRELUDE}{HELPERS}\ndef f({', '.join(inputs)}):\n  {body}"
    outcome = await run_on(backend, Execution(code, "f", inputs, limits))
    assert outcome.status is Status.OK, outcome
    return outcome.value


async def started(backend: NamespaceBackend, code: str) -> asyncio.Task[Outcome]:
    """Run code that does not end; it runs when this returns."""
    said: list[bytes] = []
    execution = Execution(f"print('up')\n{code}", limits=Limits(timeout_s=30))
    running = asyncio.create_task(run_on(backend, execution, lambda _, piece: said.append(piece)))
    await eventually(lambda: bool(said), "it runs")
    return running


def only_nest(backend: NamespaceBackend) -> int:
    """Which process the warden of the only nest is, as this machine counts."""
    (nest,) = backend.nests
    first = nest.bubblewrap.first
    for line in Path(f"/proc/self/fdinfo/{first}").read_text().splitlines():
        if line.startswith("Pid:"):
            return int(line.split()[1])
    raise AssertionError("a descriptor of no process")


def sandboxes_of(warden: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{warden}/task/{warden}/children").read_text().split()]


def namespaces_of(process: int, held: ExitStack) -> set[int]:
    """Their numbers, which are theirs for as long as they are held."""
    numbers = set()
    for kind in FRESH:
        descriptor = os.open(f"/proc/{process}/ns/{kind}", os.O_RDONLY)
        held.callback(os.close, descriptor)
        numbers.add(os.fstat(descriptor).st_ino)
    return numbers


def members_of(home: Path) -> list[int]:
    return [int(each) for path in home.glob("nest-*/cgroup.procs") for each in path.read_text().split()]


@pytest.mark.parametrize("kind", LEFT_AND_FOUND)
async def test_the_next_execution_finds_nothing_of_the_last(one: NamespaceBackend, kind: str) -> None:
    leave, look, found = LEFT_AND_FOUND[kind]
    look = look.replace("cores", str(len(os.sched_getaffinity(0))))
    assert await tell(one, look) == found
    warden = only_nest(one)
    await tell(one, leave)
    assert await tell(one, look) == found
    assert only_nest(one) == warden


async def test_each_execution_is_in_namespaces_of_its_own(one: NamespaceBackend) -> None:
    warden = only_nest(one)
    with ExitStack() as held:
        seen = namespaces_of(warden, held)
        for _ in range(2):
            running = await started(one, "import time\nwhile True: time.sleep(1)")
            (sandbox,) = sandboxes_of(warden)
            seen |= namespaces_of(sandbox, held)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
    assert len(seen) == 3 * len(FRESH)


NETWORK = "return socket.socket(socket.{family}).getsockopt(socket.SOL_SOCKET, 71, 8).hex()  # SO_NETNS_COOKIE"


@pytest.mark.parametrize("family", ["AF_INET", "AF_INET6"])
@pytest.mark.parametrize("end", ["return 1", "linger()", "os._exit(3)", "signal.raise_signal(9)", "os.kill(1, 9)"])
async def test_no_network_that_had_an_internet_socket_is_used_again(
    one: NamespaceBackend, family: str, end: str
) -> None:
    look = NETWORK.format(family="AF_UNIX")
    before = await tell(one, look)
    warden = only_nest(one)
    code = f"{PRELUDE}{HELPERS}\ndef f():\n  socket.socket(socket.{family})\n  {end}"
    await run_on(one, Execution(code, "f"))
    assert await tell(one, look) != before
    assert only_nest(one) == warden


async def test_a_network_of_which_its_supervisor_says_nothing_is_not_used_again(one: NamespaceBackend) -> None:
    look = NETWORK.format(family="AF_UNIX")
    before = await tell(one, look)
    assert await tell(one, look) == before
    running = await started(one, "while True: pass")
    (sandbox,) = sandboxes_of(only_nest(one))
    os.kill(sandbox, signal.SIGKILL)
    await running
    assert await tell(one, look) != before


NAMINGS = {
    "bind": "socket.socket(socket.AF_UNIX).bind(chr(0) + 'left')",
    "bind to a path": "socket.socket(socket.AF_UNIX).bind('left')",
    "bind to any name": "socket.socket(socket.AF_UNIX).bind('')",
    "credentials": "socket.socket(socket.AF_UNIX).setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)",
}


@pytest.mark.parametrize("naming", NAMINGS)
async def test_no_network_in_which_a_local_socket_had_a_name_is_used_again(one: NamespaceBackend, naming: str) -> None:
    look = NETWORK.format(family="AF_UNIX")
    before = await tell(one, look)
    warden = only_nest(one)
    await tell(one, NAMINGS[naming])
    assert await tell(one, look) != before
    assert only_nest(one) == warden


async def test_local_sockets_without_a_name_leave_the_network_to_be_used_again(one: NamespaceBackend) -> None:
    look = NETWORK.format(family="AF_UNIX")
    before = await tell(one, look)
    await tell(one, "a, b = socket.socketpair(); socket.send_fds(a, [b'x'], [b.fileno()]); socket.recv_fds(b, 1, 1)")
    await tell(one, "import asyncio; asyncio.run(asyncio.sleep(0))")
    assert await tell(one, look) == before


async def test_a_supervisor_that_fails_vouches_for_nothing(one: NamespaceBackend) -> None:
    look = NETWORK.format(family="AF_UNIX")
    before = await tell(one, look)
    # Nobody can put a file into a file.
    outcome = await run_on(one, Execution("x = 1", input_files={"a": b"", "a/b": b""}))
    assert outcome.status is Status.KILLED
    assert await tell(one, look) != before


@pytest.mark.parametrize(("flags", "loading", "making"), [(8, errno.EBUSY, 0), (0, 0, errno.ENOSYS)])
async def test_no_filter_of_the_codes_own_keeps_an_internet_socket_from_being_seen(
    one: NamespaceBackend, flags: int, loading: int, making: int
) -> None:
    """Of two filters that ask about a call the younger is heeded; a second one cannot have a listener."""
    look = NETWORK.format(family="AF_UNIX")
    before = await tell(one, look)
    body = """
  import struct
  socket_number = {"x86_64": 41, "aarch64": 198}[os.uname().machine]
  steps = [(0x20, 0, 0, 0), (0x15, 0, 1, socket_number), (6, 0, 0, 0x7FC00000), (6, 0, 0, 0x7FFF0000)]
  program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
  header = ctypes.create_string_buffer(struct.pack("=HxxxxxxQ", len(steps), ctypes.addressof(program)))
  number = {"x86_64": 317, "aarch64": 277}[os.uname().machine]
  loaded = libc.syscall(number, 1, flags, header)
  loading = ctypes.get_errno() if loaded < 0 else 0
  try: socket.socket().close()
  except OSError as error: return [loading, error.errno]
  return [loading, 0]"""
    assert await tell(one, body, flags=flags) == [loading, making]
    assert (await tell(one, look) == before) == bool(making)


async def test_internet_sockets_of_many_processes_and_threads_are_all_made(one: NamespaceBackend) -> None:
    body = """
  import threading
  made = []
  def make():
    for _ in range(20):
      with socket.socket(): pass
    made.append(1)
  threads = [threading.Thread(target=make) for _ in range(4)]
  children = []
  for _ in range(3):
    if not (child := os.fork()): make(); os._exit(0)
    children.append(child)
  for each in threads: each.start()
  for each in threads: each.join()
  return [len(made), [os.waitpid(child, 0)[1] for child in children]]"""
    assert await tell(one, body) == [4, [0, 0, 0]]


async def test_an_internet_socket_that_a_signal_interrupts_can_be_asked_for_again(one: NamespaceBackend) -> None:
    body = """
  signal.signal(signal.SIGALRM, lambda *_: None)
  signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
  made = 0
  while made < 1000:
    try:
      with socket.socket(): made += 1
    except InterruptedError: pass
  return made"""
    assert await tell(one, body) == 1000


@pytest.mark.parametrize("assault", ASSAULTS)
async def test_the_warden_survives(one: NamespaceBackend, assault: str) -> None:
    warden = only_nest(one)
    code = f"{PRELUDE}{HELPERS}\ntry: {ASSAULTS[assault]}\nexcept OSError: pass"
    await run_on(one, Execution(code, limits=Limits(timeout_s=1)))
    assert await tell(one, "return 1") == 1
    assert only_nest(one) == warden


async def test_memory_that_runs_out_is_no_end_to_the_service(one: NamespaceBackend) -> None:
    require(one.cgroups, "no group can be made here")
    hog = "def f():\n  kept = []\n  while True: kept.append(bytearray(1 << 20))"
    for _ in range(3):
        outcome = await run_on(one, Execution(hog, "f", limits=Limits(memory_bytes=48 * MIB)))
        assert outcome.status is Status.OOM
        assert await tell(one, "return 1") == 1


async def test_limits_are_those_of_the_execution_and_not_of_the_nest(one: NamespaceBackend) -> None:
    require(one.cgroups, "no group can be made here")
    body = "return len(bytearray(100 << 20))"
    code = f"def f():\n  {body}"
    for memory_bytes, status in ((64 * MIB, Status.OOM), (256 * MIB, Status.OK), (64 * MIB, Status.OOM)):
        outcome = await run_on(one, Execution(code, "f", limits=Limits(memory_bytes=memory_bytes)))
        assert outcome.status is status
    for processes in (10, 30, 10):
        body = "n = 0\n  while n < 100:\n    try: os.fork() or time.sleep(60)\n    except OSError: return n\n    n += 1"
        children = await tell(one, body, Limits(processes=processes))
        assert isinstance(children, int)
        assert processes - 5 <= children <= processes


async def test_a_sandbox_is_not_made_under_the_limits_of_the_one_before(one: NamespaceBackend) -> None:
    require(one.cgroups, "no group can be made here")
    await tell(one, "return 1")
    (nest,) = one.nests
    assert nest.group
    quota = nest.group.folders["cpu"] / ("cpu.max" if nest.group.version == 2 else "cpu.cfs_quota_us")
    # Where the next one is waited for, its forks stand still for most of each period.
    for cpus, told in ((1.0, "100000"), (0.01, "1000"), (1.0, "100000")):
        sandbox = await one.take(Limits(cpus=cpus))
        assert quota.read_text().split()[0] == told
        one.retire(sandbox)
        await eventually(lambda: one.pool_status().ready == 1, "the next one waits")
        assert quota.read_text().split()[0] == "100000"


async def test_the_memory_that_is_told_is_the_executions_own(one: NamespaceBackend) -> None:
    require(one.cgroups, "no group can be made here")
    for size, least, most in ((100, 100, 140), (1, 0, 40)):
        outcome = await run_on(one, Execution(f"x = bytearray({size} << 20)"))
        assert least * MIB <= outcome.peak_memory_bytes <= most * MIB


async def test_code_has_no_capability_and_can_get_none(one: NamespaceBackend) -> None:
    body = """
  header, sets = bytes.fromhex('2205082000000000'), ctypes.create_string_buffer(24)
  assert libc.capget(header, sets) == 0
  bounding = [n for n in range(64) if libc.prctl(23, n, 0, 0, 0) == 1]
  return [any(sets.raw), bounding, libc.prctl(39, 0, 0, 0, 0), libc.prctl(21, 0, 0, 0, 0), libc.prctl(3, 0, 0, 0, 0)]"""
    # No capabilities, none to be had, no new privileges, filtered, not dumpable.
    assert await tell(one, body) == [False, [], 1, 2, 0]


async def test_nothing_in_tmp_can_be_loaded_or_executed(one: NamespaceBackend) -> None:
    body = """
  import _ctypes, shutil, subprocess
  shutil.copyfile(_ctypes.__file__, '/tmp/x.so')
  os.chmod('/tmp/x.so', 0o755)
  tried = []
  load, run = lambda: ctypes.CDLL('/tmp/x.so'), lambda: subprocess.run(['/tmp/x.so'])
  for attempt in (load, run, lambda: os.memfd_create('x')):
    try: tried.append(repr(attempt()))
    except OSError: tried.append('refused')
  flags = os.statvfs('/tmp').f_flag
  return [tried, bool(flags & os.ST_NOEXEC), bool(flags & os.ST_NOSUID), bool(flags & os.ST_NODEV)]"""
    assert await tell(one, body) == [["refused"] * 3, True, True, True]


async def test_modules_that_sockets_would_load_are_not(one: NamespaceBackend) -> None:
    sctp, vsock, tipc = (2, 1, 132), (40, 1, 0), (30, 5, 0)
    body = "return [[libc.socket(*a), libc.socketpair(*a, ctypes.create_string_buffer(8))] for a in asked]"
    asked: JsonValue = [list(each) for each in (sctp, vsock, tipc)]
    assert await tell(one, body, asked=asked) == [[-1, -1]] * 3


async def test_files_that_others_read_cannot_be_watched(one: NamespaceBackend) -> None:
    column = seccomp.ARCHITECTURES[os.uname().machine].column
    number = seccomp.DENIED["inotify_init1"][column]
    assert await tell(one, f"return libc.syscall({number}, 0)") == -1


async def test_the_number_of_files_is_bounded(one: NamespaceBackend) -> None:
    body = """
  n = 0
  while n < 5000:
    try: open(f'/tmp/{n}', 'w').close()
    except OSError as error: return [n, error.errno]
    n += 1"""
    value = await tell(one, body, Limits(tmp_bytes=4 * MIB))
    assert isinstance(value, list)
    made, error = value
    assert isinstance(made, int)
    assert 900 < made <= 1024
    assert error == errno.ENOSPC


async def test_facilities_say_what_is_there_and_what_is_missing(
    one: NamespaceBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = {each.name for each in one.facilities() if not each.available}
    assert missing <= {"processor limit"}
    assert ("processor limit" in missing) == (one.cgroups is None)
    monkeypatch.setenv("PATH", "/nonexistent")
    bare = NamespaceBackend(rootfs.default_cache())
    with pytest.raises(BackendUnavailable, match="bubblewrap is not installed"):
        await bare.probe()
    found = {each.name: each for each in bare.facilities()}
    assert not found["bubblewrap"].available
    assert "apt-get install bubblewrap" in found["bubblewrap"].detail
    assert not found["network namespace"].available


async def test_a_nest_that_is_killed_while_it_waits_is_replaced(one: NamespaceBackend) -> None:
    await tell(one, "return 1")
    for _ in range(3):
        os.kill(only_nest(one), signal.SIGKILL)
        assert await tell(one, "return 1") == 1


async def test_a_nest_that_is_killed_while_code_runs_is_replaced(one: NamespaceBackend) -> None:
    running = await started(one, "while True: pass")
    os.kill(only_nest(one), signal.SIGKILL)
    assert (await running).status is Status.KILLED
    assert await tell(one, "return 1") == 1


async def test_nests_and_groups_stay_within_the_ceiling_and_go_with_the_backend() -> None:
    backend = await ready(floor=2, ceiling=4)
    home = backend.cgroups.homes["memory"] if backend.cgroups else None
    for _ in range(10):
        await asyncio.gather(*(run_on(backend, Execution("x = 1")) for _ in range(8)))
        assert len(backend.nests) <= 4
        assert not home or len(list(home.glob("*/"))) <= 4
    await backend.close()
    assert backend.nests == set()
    assert not home or not home.exists()


async def test_without_a_pool_each_execution_has_a_nest_of_its_own() -> None:
    backend = await ready(floor=0, ceiling=0)
    home = backend.cgroups.homes["memory"] if backend.cgroups else None
    for leave, look, found in LEFT_AND_FOUND.values():
        look = look.replace("cores", str(len(os.sched_getaffinity(0))))
        await tell(backend, leave)
        assert await tell(backend, look) == found
    await eventually(lambda: not backend.nests or len(backend.nests) == len(backend.idle), "they are gone")
    await backend.close()
    assert not home or not home.exists()


class SlowGroup(cgroup.Group):
    """As on a busy machine, a process is put into it when it has long been at work."""

    def add(self, process: int) -> None:
        deadline_s = time.monotonic() + 0.5
        while not sandboxes_of(process) and time.monotonic() < deadline_s:
            pass
        super().add(process)


@pytest.mark.parametrize("ceiling", [0, 1])
async def test_all_of_an_execution_is_in_its_group(ceiling: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroup, "Group", SlowGroup)
    backend = await ready(floor=0, ceiling=ceiling)
    require(backend.cgroups, "no group can be made here")
    assert backend.cgroups
    home = backend.cgroups.homes["pids"]
    running = await started(backend, "import os, time\nos.fork()\nwhile True: time.sleep(1)")
    members = members_of(home)
    assert len(members) >= 3
    for process in members:
        assert set(sandboxes_of(process)) <= set(members)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await backend.close()


async def test_what_a_killed_service_left_is_swept_and_what_a_living_one_has_is_not(
    one: NamespaceBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    require(one.cgroups, "no group can be made here")
    # Under a name of the test's own: whatever else has a sandbox on this machine would sweep it, too.
    monkeypatch.setattr(cgroup, "NAME", f"autodev-swept-{uuid4().hex[:12]}-")
    arguments = (sys.executable, "-c", SERVICE, str(rootfs.default_cache()), cgroup.NAME)
    killed, living = [
        await asyncio.create_subprocess_exec(*arguments, stdout=asyncio.subprocess.PIPE) for _ in range(2)
    ]
    homes = []
    for service in (killed, living):
        assert service.stdout
        homes.append(Path((await service.stdout.readline()).decode().strip()))
        await eventually(lambda: all(len(members_of(home)) >= 3 for home in homes), "its nests are there")
    members = members_of(homes[0])
    killed.kill()
    await killed.wait()
    await eventually(lambda: not any(Path(f"/proc/{each}").exists() for each in members), "its processes are gone")
    assert homes[0].exists()
    await asyncio.to_thread(cgroup.find)
    assert not homes[0].exists()
    assert homes[1].exists()
    assert len(members_of(homes[1])) >= 3
    assert await tell(one, "return 1") == 1
    living.terminate()
    await living.wait()
    await asyncio.to_thread(cgroup.find)
    assert not homes[1].exists()


async def test_a_sandbox_whose_bubblewrap_was_killed_before_it_was_ready_is_ended(one: NamespaceBackend) -> None:
    never, blocked = os.pipe()
    told, info = os.pipe()
    # It is stopped where a kill leaves its child waiting for ever.
    options = ("--unshare-user", "--unshare-pid", "--userns-block-fd", str(never), "--info-fd", str(info))
    killed = await asyncio.create_subprocess_exec(
        "bwrap", *options, "--ro-bind", "/", "/", "true", rootfs.INSIDE_PACKAGE, pass_fds=(never, info)
    )
    child = json.loads(await read_to_brace(told))["child-pid"]
    living = only_nest(one)
    killed.kill()
    await killed.wait()
    assert Path(f"/proc/{child}").exists()
    await asyncio.to_thread(end_orphans)
    await eventually(lambda: not Path(f"/proc/{child}").exists(), "it is gone")
    assert only_nest(one) == living
    for descriptor in (never, blocked, told, info):
        os.close(descriptor)


async def test_a_process_that_a_killed_service_left_in_its_group_is_ended(one: NamespaceBackend) -> None:
    require(one.cgroups, "no group can be made here")
    assert one.cgroups
    abandoned = one.cgroups.parents["memory"] / f"{cgroup.NAME}{uuid4().hex[:12]}"
    (abandoned / "nest-1").mkdir(parents=True)
    left = await asyncio.create_subprocess_exec("sleep", "1000")
    (abandoned / "nest-1/cgroup.procs").write_text(str(left.pid))
    sweeping = asyncio.create_task(asyncio.to_thread(cgroup.find))
    assert await left.wait() == -signal.SIGKILL
    await sweeping
    assert not abandoned.exists()
