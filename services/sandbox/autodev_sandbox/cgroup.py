"""Control groups, version 1 and 2: the memory, process and processor limits of one sandbox, where they can be set."""

import asyncio
import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from autodev_sandbox.execution import Limits

MOUNT = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
CPU_PERIOD_US = 100_000
REMOVAL_DEADLINE_S = 2.0
ABANDONED_AFTER_S = 60.0
NAME = "autodev-sandbox-"


@dataclass(frozen=True)
class Group:
    """One sandbox's group: its directories (version 1 has one a controller), made and removed with the sandbox."""

    memory: Path
    others: tuple[Path, ...]
    version: int

    @property
    def folders(self) -> tuple[Path, ...]:
        return (self.memory, *self.others)

    def add(self, process: int) -> None:
        for folder in self.folders:
            (folder / "cgroup.procs").write_text(str(process))

    def oom_kills(self) -> int:
        text = (self.memory / ("memory.events" if self.version == 2 else "memory.oom_control")).read_text()
        return next((int(line.split()[1]) for line in text.splitlines() if line.startswith("oom_kill ")), 0)

    def peak_memory_bytes(self) -> int:
        try:
            return int(
                (self.memory / ("memory.peak" if self.version == 2 else "memory.max_usage_in_bytes")).read_text()
            )
        except OSError:
            return 0  # memory.peak is younger than version 2 itself.

    async def remove(self) -> None:
        """Remove the directories. The kernel lets go of dead processes a moment after they are gone."""
        deadline_s = time.monotonic() + REMOVAL_DEADLINE_S
        for folder in self.folders:
            while not removed(folder):
                if time.monotonic() > deadline_s:
                    raise TimeoutError(f"{folder} still holds processes")
                await asyncio.sleep(0.001)


def removed(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


class Cgroups:
    """Where this process may make groups."""

    def __init__(self, parents: dict[str, Path], version: int) -> None:
        self.parents = parents
        self.version = version

    def make(self, limits: Limits) -> Group:
        name = NAME + uuid4().hex[:12]
        folders = {controller: parent / name for controller, parent in self.parents.items()}
        group = Group(folders["memory"], tuple({folders["pids"], folders["cpu"]} - {folders["memory"]}), self.version)
        try:
            for folder in group.folders:
                folder.mkdir()
            write_limits(folders, limits, self.version)
        except OSError:
            # Nothing is in them yet.
            for folder in group.folders:
                removed(folder)
            raise
        return group

    def sweep(self) -> None:
        """Remove the groups that a service which was killed left behind. One that holds a process stays."""
        for parent in set(self.parents.values()):
            for folder in parent.glob(NAME + "*"):
                # A young one may be another service's that is about to use it; one that is gone was.
                with contextlib.suppress(FileNotFoundError):
                    if time.time() - folder.stat().st_mtime > ABANDONED_AFTER_S:
                        removed(folder)


def write_limits(folders: dict[str, Path], limits: Limits, version: int) -> None:
    memory, pids, cpu = folders["memory"], folders["pids"], folders["cpu"]
    quota_us = max(int(limits.cpus * CPU_PERIOD_US), 1000)
    # One more for the supervisor.
    (pids / "pids.max").write_text(str(limits.processes + 1))
    if version == 2:
        (memory / "memory.max").write_text(str(limits.memory_bytes))
        write_if_there(memory / "memory.swap.max", 0)
        (cpu / "cpu.max").write_text(f"{quota_us} {CPU_PERIOD_US}")
    else:
        (memory / "memory.limit_in_bytes").write_text(str(limits.memory_bytes))
        write_if_there(memory / "memory.memsw.limit_in_bytes", limits.memory_bytes)
        (cpu / "cpu.cfs_period_us").write_text(str(CPU_PERIOD_US))
        (cpu / "cpu.cfs_quota_us").write_text(str(quota_us))


def write_if_there(path: Path, value: int) -> None:
    """Swap accounting may be compiled out or off."""
    if path.exists():
        path.write_text(str(value))


def find(mount: Path = MOUNT, membership: Path = MEMBERSHIP) -> Cgroups | None:
    """Where groups with memory, pids and cpu limits can be made; None where that is nowhere."""
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
        if {"memory", "pids", "cpu"} <= given and can_make_groups(parent):
            return Cgroups(dict.fromkeys(("memory", "pids", "cpu"), parent), 2)
    return None


def find_version_1(mount: Path, own: dict[str, str]) -> Cgroups | None:
    parents = {}
    for controller in ("memory", "pids", "cpu"):
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
