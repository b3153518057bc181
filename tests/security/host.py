"""What executions left on the machine: looked for from outside, by everything that can be seen there.

A service keeps started sandboxes, so the machine is compared with what the service says that its pool holds.
"""

import contextlib
import ctypes
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import docker
import docker.errors

from autodev_sandbox.execution import MIB
from tests.security.processes import Process, children_of, descendants, process_table
from tests.security.program import CONTAINER, NAMESPACE, Trace
from tests.security.service import Service, as_user, eventually, user_id

OWNER: Final = "autodev.sandbox.owner"
NOBODY: Final = 65534
PUBLIC_FOLDERS: Final = ("/", "/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue", "/run", "/run/lock")
ENGINES_FILE_SYSTEMS: Final = {"overlay", "nsfs"}
LISTENING: Final = "0A"

# Each started sandbox is a supervisor and the process that is to be the code's.
PROCESSES_OF_A_SANDBOX: Final = 2
# Each nest that holds sandboxes of the namespace level, one after another, is bubblewrap and its warden.
PROCESSES_OF_A_NEST: Final = 2

# Beside what the pool holds: the service's own heap breathes, and an allocator gives back late.
SERVICE_SLACK_BYTES: Final = 96 * MIB
SANDBOX_BYTES: Final = 12 * MIB
# Others work on the machine too. A sandbox's /tmp that stays, filled, is 64 MiB.
SHARED_MEMORY_SLACK_BYTES: Final = 256 * MIB
MACHINE_SLACK_BYTES: Final = 2048 * MIB
SERVICE_DESCRIPTOR_SLACK: Final = 48

REMOVE = """
import ctypes, json, os, shutil, signal, sys
left = json.load(sys.stdin)
libc = ctypes.CDLL(None)
for process in left["processes"]:
    try: os.kill(process, signal.SIGKILL)
    except ProcessLookupError: pass
for path in left["files"]:
    if os.path.isdir(path) and not os.path.islink(path): os.chmod(path, 0o700)
for path in left["files"]:
    if os.path.isdir(path) and not os.path.islink(path): shutil.rmtree(path)
    elif os.path.lexists(path): os.unlink(path)
for kind, number in left["ipc"]:
    arguments = (number, 0, 0) if kind == "sem" else (number, 0)
    getattr(libc, kind + "ctl")(*arguments)
libc.mq_unlink(left["queue"].encode())
KEYCTL, CLEAR, USER_KEYRING = {"x86_64": 250, "aarch64": 219}[os.uname().machine], 7, -4
libc.syscall(KEYCTL, CLEAR, USER_KEYRING)
"""


@dataclass
class Sandboxes:
    """The service's processes and containers, set against what its pool should hold. Empty where both agree."""

    strangers: list[Process] = field(default_factory=list)
    surplus: list[str] = field(default_factory=list)
    nests: int = 0
    ready: int = 0
    idle: list[int] = field(default_factory=list)


class Host:
    """The machine around one service, compared with what it was when the service had settled."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.mark = service.facts.mark
        self.engine = docker.from_env() if service.level >= CONTAINER else None
        self.supervisors: dict[str, int] = {}
        sandboxes = self.settled()
        self.before = {
            Trace.FILE: set(self.files()) | set(self.public_files()),
            Trace.CACHE: set(self.roots()),
            Trace.MOUNT: set(self.mounts(sandboxes.idle)),
            Trace.IPC: set(self.ipc()),
        }
        self.held_bytes = service.enclosure.held_bytes() - SANDBOX_BYTES * sandboxes.ready
        self.machine = memory_figures()
        self.descriptors = self.open_descriptors()

    def settled(self) -> Sandboxes:
        """The sandboxes when the pool has come to rest."""
        found = Sandboxes()

        def at_rest() -> bool:
            nonlocal found
            found = self.sandboxes()
            return not found.strangers and not found.surplus

        eventually(at_rest, lambda: f"the pool comes to rest: {found}")
        return found

    def traces(self) -> dict[Trace, list[str]]:
        """What is there now and was not before, by kind; kinds of which nothing is there are left out."""
        sandboxes = self.sandboxes()
        found = {
            Trace.PROCESS: [f"{each.id} {each.name} {each.state}" for each in sandboxes.strangers],
            Trace.SANDBOX: sandboxes.surplus,
            Trace.CGROUP: self.surplus_groups(sandboxes.nests),
            Trace.MOUNT: sorted(set(self.mounts(sandboxes.idle)) - self.before[Trace.MOUNT]),
            Trace.DESCRIPTOR: self.surplus_descriptors(),
            Trace.MEMORY: list(self.memory(sandboxes.ready)),
            **self.things(),
        }
        return {kind: what for kind, what in found.items() if what}

    def things(self) -> dict[Trace, list[str]]:
        """What has nothing to do with whether the service runs."""
        return {
            Trace.FILE: self.changed_files(),
            Trace.SOCKET: list(self.sockets()),
            Trace.IPC: sorted(set(self.ipc()) - self.before[Trace.IPC]),
            Trace.QUEUE: self.queues(),
            Trace.KEY: self.keys(),
        }

    def after_the_end(self) -> dict[Trace, list[str]]:
        """What is there of a service that has ended: its pool must be gone as well."""
        processes, containers = self.processes(process_table()), self.containers()
        mounts = set(self.mounts([])) - self.before[Trace.MOUNT]
        found = {
            Trace.PROCESS: [f"{each.id} {each.name} {each.state}" for each in processes],
            Trace.SANDBOX: sorted(containers),
            Trace.CGROUP: self.service.enclosure.groups(),
            Trace.MOUNT: sorted(mounts),
            # Whole, and so once: what was changed there would have stayed so.
            Trace.CACHE: sorted(set(self.roots()) ^ self.before[Trace.CACHE]),
            **self.things(),
        }
        return {kind: what for kind, what in found.items() if what}

    def sandboxes(self) -> Sandboxes:
        table = process_table()
        pool = self.service.pool()
        processes = self.processes(table)
        busy = pool.starting + pool.in_use + pool.ending
        found = Sandboxes(ready=pool.ready, surplus=[f"the pool is busy: {pool}"] if busy else [])
        children = children_of(table)
        if self.service.level is NAMESPACE:
            nests = children.get(self.service.pid, [])
            found.nests = len(nests)
            expected = PROCESSES_OF_A_NEST * len(nests) + PROCESSES_OF_A_SANDBOX * pool.ready
            found.idle = [each.id for each in processes]
            if found.nests > pool.ceiling:
                found.surplus.append(f"{found.nests} nests")
        else:
            containers = self.containers()
            expected = PROCESSES_OF_A_SANDBOX * len(containers)
            found.idle = [self.supervisors[each] for each in containers if self.supervisors.get(each)]
            if len(containers) != pool.ready:
                found.surplus.append(f"{len(containers)} containers, of which {pool.ready} are the pool's")
        if len(processes) != expected or any(each.name == self.mark or each.state == "Z" for each in processes):
            found.strangers = processes
        return found

    def processes(self, table: dict[int, Process]) -> list[Process]:
        """Those that the service started, those in its containers, and whatever bears the mark."""
        ours = descendants(self.service.launcher.pid, table) - {self.service.pid}
        for container in self.containers():
            supervisor = self.supervisor_of(container)
            ours |= {supervisor, *descendants(supervisor, table)} if supervisor else set()
        marked = {each.id for each in table.values() if each.name == self.mark}
        return sorted((table[each] for each in ours | marked if each in table), key=lambda process: process.id)

    def containers(self) -> set[str]:
        if self.engine is None:
            return set()
        found = self.engine.api.containers(all=True, filters={"label": OWNER})
        return {each["Id"] for each in found if each["Labels"][OWNER].startswith(f"{self.service.pid}-")}

    def supervisor_of(self, container: str) -> int:
        """The process id of a container's process 1, as the machine sees it; 0 while there is none."""
        assert self.engine
        if not self.supervisors.get(container):
            with contextlib.suppress(docker.errors.NotFound):
                self.supervisors[container] = self.engine.api.inspect_container(container)["State"]["Pid"]
        return self.supervisors.get(container, 0)

    def surplus_groups(self, nests: int) -> list[str]:
        """Groups that are neither the service's nor one for each nest."""
        groups = self.service.enclosure.groups()
        of_nests = [each for each in groups if Path(each).name.startswith("nest-")]
        within = [each for each in groups if any(each.startswith(f"{nest}/") for nest in of_nests)]
        controllers = len(self.service.enclosure.folders)
        surplus = [f"{len(of_nests)} groups of {nests} nests"] if len(of_nests) != controllers * nests else []
        return surplus + within + (groups if self.service.level is not NAMESPACE else [])

    def changed_files(self) -> list[str]:
        before, now = self.before[Trace.FILE], set(self.files())
        # Of a public folder others may remove something.
        gone = {each for each in before - now if each.startswith(str(self.service.folder))}
        return sorted(gone | (now | set(self.public_files())) - before)

    def files(self) -> Iterator[str]:
        """The service's own folder and the one that must stay as it is, to the last detail."""
        for top in (self.service.tmp, self.service.facts.victim):
            yield from files_below(top)

    def roots(self) -> Iterator[str]:
        """The sandboxes' roots, which the service keeps, and nothing may change."""
        for top in self.service.cache.glob("root-*"):
            yield from files_below(top)

    def public_files(self) -> Iterator[str]:
        """What is marked, or is the service's user's or nobody's, in folders that anybody may write to."""
        strangers = {NOBODY, user_id(self.service.level)} - {os.geteuid()}
        for top in PUBLIC_FOLDERS:
            with contextlib.suppress(FileNotFoundError):
                for entry in os.scandir(top):
                    with contextlib.suppress(FileNotFoundError):
                        if self.mark in entry.name or entry.stat(follow_symlinks=False).st_uid in strangers:
                            yield entry.path

    def sockets(self) -> Iterator[str]:
        """What listens on the port that programs are told, and what has a marked name."""
        port = f":{self.service.facts.free_port:04X}"
        for table in ("tcp", "tcp6", "udp", "udp6"):
            for line in read_lines(f"/proc/net/{table}")[1:]:
                _, local, _, state, *_ = line.split()
                if local.endswith(port) and (state == LISTENING or table.startswith("udp")):
                    yield f"{table} {local}"
        server = f"@{self.mark}-server"
        for line in read_lines("/proc/net/unix"):
            if self.mark in line and not line.endswith(server):
                yield line

    def mounts(self, idle: list[int]) -> Iterator[str]:
        """What is mounted where: for the machine, for the service and within each idle sandbox."""
        for process in ("self", str(self.service.pid), *map(str, idle)):
            of = "machine" if process in ("self", str(self.service.pid)) else "sandbox"
            for line in read_lines(f"/proc/{process}/mountinfo"):
                fields = line.split()
                place, kind = fields[4], fields[fields.index("-") + 1]
                # A container engine's mounts come and go.
                if kind not in ENGINES_FILE_SYSTEMS and "docker" not in place and "containerd" not in place:
                    yield f"{of} {place} {kind}"

    def ipc(self) -> Iterator[str]:
        owners = {str(NOBODY), str(user_id(self.service.level))}
        for kind, owner in (("shm", 7), ("sem", 4), ("msg", 7)):
            for line in read_lines(f"/proc/sysvipc/{kind}")[1:]:
                fields = line.split()
                if fields[owner] in owners:
                    yield f"{kind} {fields[1]}"

    def queues(self) -> list[str]:
        queue = ctypes.CDLL(None).mq_open(f"/{self.mark}".encode(), os.O_RDONLY)
        if queue < 0:
            return []
        os.close(queue)
        return [f"/{self.mark}"]

    def keys(self) -> list[str]:
        """Keys in the kernel, of which one sees only one's own."""
        command = [*as_user(self.service.level), "cat", "/proc/keys"]
        seen = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return [line for line in seen.splitlines() if self.mark in line]

    def memory(self, ready: int) -> Iterator[str]:
        held = self.service.enclosure.held_bytes() - self.held_bytes - SANDBOX_BYTES * ready
        if held > SERVICE_SLACK_BYTES:
            yield f"the service and what it started hold {held // MIB} MiB more"
        now = memory_figures()
        if (shared := now["Shmem"] - self.machine["Shmem"]) > SHARED_MEMORY_SLACK_BYTES:
            yield f"temporary file systems of the machine hold {shared // MIB} MiB more"
        if (gone := self.machine["MemAvailable"] - now["MemAvailable"]) > MACHINE_SLACK_BYTES:
            yield f"the machine has {gone // MIB} MiB less"

    def open_descriptors(self) -> int:
        with contextlib.suppress(FileNotFoundError):
            return len(os.listdir(f"/proc/{self.service.pid}/fd"))
        return 0

    def surplus_descriptors(self) -> list[str]:
        surplus = self.open_descriptors() - self.descriptors
        return [f"{surplus} more"] if surplus > SERVICE_DESCRIPTOR_SLACK else []

    def clean(self) -> None:
        """Remove what a program may leave at its level, as the user that it ran as."""
        victim = str(self.service.facts.victim)
        ipc = [line.split() for line in set(self.ipc()) - self.before[Trace.IPC]]
        self.service.as_its_user(
            REMOVE,
            {
                "processes": [each.id for each in self.processes(process_table()) if each.state != "Z"],
                "files": [line.split(" ")[0] for line in self.changed_files() if not line.startswith(victim)],
                "ipc": [[kind, int(number)] for kind, number in ipc],
                "queue": f"/{self.mark}",
            },
        )

    def close(self) -> None:
        if self.engine:
            self.engine.close()


def files_below(top: Path) -> Iterator[str]:
    """Each with what would show that it was changed."""
    for folder, folders, files in os.walk(top):
        for name in (*folders, *files):
            path = os.path.join(folder, name)
            with contextlib.suppress(OSError):
                found = os.lstat(path)
                # A folder's time tells of what came and went in it, which is no matter.
                details = f"{found.st_size} {found.st_mtime_ns}" if name in files else "folder"
                yield f"{path} {found.st_mode:o} {found.st_uid} {details}"


def memory_figures() -> dict[str, int]:
    """The machine's /proc/meminfo, in bytes."""
    fields = (line.split() for line in read_lines("/proc/meminfo"))
    return {name.rstrip(":"): int(figure) * 1024 for name, figure, *_ in fields}


def read_lines(path: str) -> list[str]:
    """A file's lines; none where it is not there."""
    try:
        return Path(path).read_text(errors="replace").splitlines()
    except OSError:
        return []
