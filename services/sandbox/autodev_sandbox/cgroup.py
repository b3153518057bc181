"""Control groups, version 1 and 2: the memory, process and processor limits of one nest, where they can be set."""

import asyncio
import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from uuid import uuid4

from autodev_sandbox.execution import Limits

MOUNT = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
CONTROLLERS = ("memory", "pids", "cpu")
CPU_PERIOD_US = 100_000
REMOVAL_DEADLINE_S = 10.0
CLAIMS = 5
LONGEST_PAUSE_S = 0.05
NAME = "autodev-sandbox-"
FIGURE_BYTES = 8192


@dataclass(frozen=True)
class Files:
    """What a version calls its files."""

    memory_limit: str
    memory_usage: str
    memory_peak: str
    memory_events: str
    memory_and_swap_limit: str
    cached: str
    """The name in memory.stat of cached files, those in memory alone included."""


VERSION_1 = Files(
    memory_limit="memory.limit_in_bytes",
    memory_usage="memory.usage_in_bytes",
    memory_peak="memory.max_usage_in_bytes",
    memory_events="memory.oom_control",
    memory_and_swap_limit="memory.memsw.limit_in_bytes",
    cached="cache",
)
VERSION_2 = Files(
    memory_limit="memory.max",
    memory_usage="memory.current",
    memory_peak="memory.peak",
    memory_events="memory.events",
    memory_and_swap_limit="memory.swap.max",
    cached="file",
)


class Group:
    """One nest's group: its folders (version 1 has one a controller), made and removed with the nest.

    Its limits are an execution's, and what the nest uses by itself besides.
    """

    def __init__(self, folders: dict[str, Path], version: int) -> None:
        self.folders = folders
        self.version = version
        self.files = VERSION_2 if version == 2 else VERSION_1
        self.places = list(dict.fromkeys(folders.values()))
        memory = folders["memory"]
        self.usage_file = memory / self.files.memory_usage
        self.peak_file = memory / self.files.memory_peak
        self.events_file = memory / self.files.memory_events
        self.limits: dict[str, int] = {}
        self.peak: int | None = None  # A descriptor: version 2 counts the peak from when it was written to.

    def add(self, process: int) -> None:
        for place in self.places:
            write(place / "cgroup.procs", process)

    def set_limits(self, limits: Limits, own_bytes: int, own_processes: int) -> None:
        """Bound what is in it. What is as it was is not written again."""
        memory_bytes = limits.memory_bytes + own_bytes
        self.limit("pids", "pids.max", limits.processes + own_processes)
        self.limit_processor(limits.cpus)
        if self.version == 2:
            self.limit("memory", self.files.memory_limit, memory_bytes)
            self.limit("memory", self.files.memory_and_swap_limit, 0)
        elif memory_bytes > self.limits.get(self.files.memory_limit, memory_bytes):
            # Memory alone is never allowed more than memory and swap together.
            self.limit("memory", self.files.memory_and_swap_limit, memory_bytes)
            self.limit("memory", self.files.memory_limit, memory_bytes)
        else:
            self.limit("memory", self.files.memory_limit, memory_bytes)
            self.limit("memory", self.files.memory_and_swap_limit, memory_bytes)

    def limit_processor(self, cpus: float) -> None:
        quota_us = max(int(cpus * CPU_PERIOD_US), 1000)
        if self.version == 2:
            if self.limits.get("cpu.max") != quota_us:
                write(self.folders["cpu"] / "cpu.max", f"{quota_us} {CPU_PERIOD_US}")
                self.limits["cpu.max"] = quota_us
        else:
            self.limit("cpu", "cpu.cfs_period_us", CPU_PERIOD_US)
            self.limit("cpu", "cpu.cfs_quota_us", quota_us)

    def limit(self, controller: str, file: str, value: int) -> None:
        if self.limits.get(file) == value:
            return
        try:
            write(self.folders[controller] / file, value)
        except FileNotFoundError:
            # Swap accounting may be compiled out or off.
            if file != self.files.memory_and_swap_limit:
                raise
        self.limits[file] = value

    def oom_kills(self) -> int:
        """How often memory has run out in it since it was made."""
        return labelled(self.events_file).get("oom_kill", 0)

    def used_bytes(self) -> int:
        """What is used, without what files on disk are cached with: that is let go when memory is short."""
        figures = labelled(self.folders["memory"] / "memory.stat")
        return self.charged_bytes() - figures.get(self.files.cached, 0) + figures.get("shmem", 0)

    def uses_more_than(self, limit_bytes: int) -> bool:
        # The first figure is had at once; for the second the kernel sums up over all processors.
        return self.charged_bytes() > limit_bytes and self.used_bytes() > limit_bytes

    def charged_bytes(self) -> int:
        return int(read(self.usage_file))

    def forget_peak(self) -> None:
        """Count the peak from here."""
        if self.version == 1:
            write(self.peak_file, 0)
            return
        with contextlib.suppress(OSError):  # memory.peak is younger than version 2 itself, and writing to it younger.
            if self.peak is None:
                self.peak = os.open(self.peak_file, os.O_RDWR)
            os.write(self.peak, b"0")

    def peak_bytes(self) -> int:
        """The most that was used since the peak was forgotten; 0 where the kernel cannot tell."""
        if self.version == 1:
            return int(read(self.peak_file))
        return int(os.pread(self.peak, FIGURE_BYTES, 0)) if self.peak is not None else 0

    def whole_peak_bytes(self) -> int:
        """The most that was used since it was made; 0 where the kernel cannot tell."""
        try:
            return int(read(self.peak_file))
        except OSError:
            return 0  # memory.peak is younger than version 2 itself.

    async def remove(self) -> None:
        """Remove the folders. The kernel lets go of dead processes a moment after they are gone."""
        if self.peak is not None:
            os.close(self.peak)
            self.peak = None
        deadline_s = time.monotonic() + REMOVAL_DEADLINE_S
        pause_s = 0.001
        for place in self.places:
            while not removed(place):
                if time.monotonic() > deadline_s:
                    raise TimeoutError(f"{place} still holds processes")
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


class Cgroups:
    """Where this process may make groups, and its own folder there, with a group in it for each nest.

    The folder is locked for as long as this process lives, which is how another one tells it from an abandoned one.
    """

    def __init__(self, parents: dict[str, Path], version: int) -> None:
        self.parents = parents
        self.version = version
        self.homes: dict[str, Path] = {}
        self.locks: list[int] = []
        self.numbers = count(1)

    def claim(self) -> None:
        """Make the folder. Raises OSError."""
        for _ in range(CLAIMS - 1):
            # Another service that sweeps may take a folder for an abandoned one until it is locked.
            with contextlib.suppress(BlockingIOError, FileNotFoundError):
                return self._claim_one()
        return self._claim_one()

    def _claim_one(self) -> None:
        name = NAME + uuid4().hex[:12]
        self.homes = {controller: parent / name for controller, parent in self.parents.items()}
        try:
            for home in dict.fromkeys(self.homes.values()):
                home.mkdir()
                lock = os.open(home, os.O_RDONLY | os.O_DIRECTORY)
                self.locks.append(lock)
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                home.stat()  # Still there.
            if self.version == 2:
                write(self.homes["memory"] / "cgroup.subtree_control", "+memory +pids +cpu")
            self.weigh()
        except OSError:
            self.release()
            raise

    def weigh(self) -> None:
        """Let all nests together weigh as much as a process for each processor, and not as one process."""
        cores = os.cpu_count() or 1
        with contextlib.suppress(OSError):
            if self.version == 2:
                write(self.homes["cpu"] / "cpu.weight", min(100 * cores, 10_000))
            else:
                write(self.homes["cpu"] / "cpu.shares", 1024 * cores)

    def make(self) -> Group:
        """A group without limits. Raises OSError."""
        name = f"nest-{next(self.numbers)}"
        group = Group({controller: home / name for controller, home in self.homes.items()}, self.version)
        try:
            for place in group.places:
                place.mkdir()
        except OSError:
            # Nothing is in them yet.
            for place in group.places:
                removed(place)
            raise
        return group

    def release(self) -> None:
        """Remove the folder, whose groups must be gone."""
        for home in set(self.homes.values()):
            removed(home)
        for lock in self.locks:
            os.close(lock)
        self.homes, self.locks = {}, []

    def sweep(self) -> None:
        """Remove what a service that was killed left behind, and end what may still run in there."""
        for parent in set(self.parents.values()):
            for home in parent.glob(NAME + "*"):
                with contextlib.suppress(OSError), abandoned(home):
                    for folder in (*home.glob("*/"), home):
                        end_all_in(folder)


@contextlib.contextmanager
def abandoned(home: Path) -> Iterator[None]:
    """Hold the lock of a service's folder. Raises BlockingIOError while its owner, or another who sweeps, does."""
    lock = os.open(home, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(lock)


def end_all_in(folder: Path) -> None:
    """Kill what is in the group, and remove it."""
    deadline_s = time.monotonic() + REMOVAL_DEADLINE_S
    while not removed(folder) and time.monotonic() < deadline_s:
        for process in (folder / "cgroup.procs").read_text().split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(process), signal.SIGKILL)
        time.sleep(0.001)


def removed(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def read(path: Path) -> bytes:
    """A small file at once: three system calls where `read_text` takes eight, several times an execution."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.read(descriptor, FIGURE_BYTES)
    finally:
        os.close(descriptor)


def write(path: Path, value: int | str) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, str(value).encode())
    finally:
        os.close(descriptor)


def labelled(path: Path) -> dict[str, int]:
    """A file of names and figures, a line each."""
    return {name.decode(): int(figure) for name, figure in map(bytes.split, read(path).splitlines())}


def find(mount: Path = MOUNT, membership: Path = MEMBERSHIP) -> Cgroups | None:
    """Where groups with memory, pids and cpu limits can be made, swept; None where that is nowhere."""
    try:
        lines = [line.split(":", 2) for line in membership.read_text().splitlines()]
    except OSError:
        return None
    own = {controller: path for _, controllers, path in lines for controller in controllers.split(",")}
    found = find_version_2(mount, own.get("", "/")) or find_version_1(mount, own)
    if found:
        found.sweep()
    return found


def find_version_2(mount: Path, own: str) -> Cgroups | None:
    # A group that holds processes cannot have limited children: rarely the service's own group, often a parent.
    folder = mount / own.lstrip("/")
    for parent in (folder, *folder.parents):
        if not parent.is_relative_to(mount):
            break
        try:
            given = set((parent / "cgroup.subtree_control").read_text().split())
        except OSError:
            continue
        if set(CONTROLLERS) <= given and can_make_groups(parent):
            return Cgroups(dict.fromkeys(CONTROLLERS, parent), 2)
    return None


def find_version_1(mount: Path, own: dict[str, str]) -> Cgroups | None:
    parents = {}
    for controller in CONTROLLERS:
        inside = mount / controller / own.get(controller, "/").lstrip("/")
        # In a container the path is the host's, and the mount shows the container's own group at the top.
        parents[controller] = inside if inside.is_dir() else mount / controller
        if not can_make_groups(parents[controller]):
            return None
    return Cgroups(parents, 1)


def can_make_groups(parent: Path) -> bool:
    trial = parent / f"{NAME}trial-{os.getpid()}"
    try:
        trial.mkdir()
        trial.rmdir()
    except OSError:
        return False
    return os.access(parent / "cgroup.procs", os.W_OK)
