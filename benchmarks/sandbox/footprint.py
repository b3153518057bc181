"""What a service holds: processes, descriptors, memory, control groups, containers."""

import os
from dataclasses import dataclass
from pathlib import Path

from autodev_sandbox import cgroup
from benchmarks.startup import memory_of

MIB = 1024 * 1024
MEMORY_SLACK = 0.05


@dataclass(frozen=True)
class Footprint:
    """Of a service and all its descendants; `groups` and `containers` are the machine's."""

    processes: int
    descriptors: int
    memory_bytes: int
    groups: int
    containers: int

    def growth_to(self, later: "Footprint") -> list[str]:
        """The names of what is more by then; memory by more than 5 %."""
        counts = ("processes", "descriptors", "groups", "containers")
        grown = [name for name in counts if getattr(later, name) > getattr(self, name)]
        if later.memory_bytes > self.memory_bytes * (1 + MEMORY_SLACK):
            grown.append("memory")
        return grown

    def to(self, later: "Footprint") -> str:
        """Both, side by side."""
        change = later.memory_bytes / self.memory_bytes - 1
        return (
            f"processes {self.processes} → {later.processes}, descriptors {self.descriptors} → {later.descriptors}, "
            f"memory {self.memory_bytes / MIB:.1f} → {later.memory_bytes / MIB:.1f} MiB ({change:+.1%}), "
            f"cgroups {self.groups} → {later.groups}, containers {self.containers} → {later.containers}"
        )


def footprint(service: int, containers: int) -> Footprint:
    """What the service with this process id holds now. Memory is PSS where the kernel tells."""
    family = [service, *descendants(service)]
    return Footprint(len(family), sum(map(descriptors_of, family)), memory_of(*family), len(list_groups()), containers)


def descendants(process: int) -> list[int]:
    """The process ids of all that descend from a process."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            children.setdefault(parent_of(folder), []).append(int(folder.name))
    found, new = [], [process]
    while new:
        new = [child for parent in new for child in children.get(parent, [])]
        found += new
    return found


def parent_of(folder: Path) -> int:
    try:
        # After the command's name, which may hold anything: the state, then the parent.
        return int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def descriptors_of(process: int) -> int:
    try:
        return len(os.listdir(f"/proc/{process}/fd"))
    except OSError:
        return 0


def list_groups() -> list[str]:
    """The control groups of sandboxes, in every hierarchy."""
    return [
        os.path.join(folder, name)
        for folder, names, _ in os.walk(cgroup.MOUNT)
        for name in names
        if name.startswith(cgroup.NAME) or f"/{cgroup.NAME}" in folder
    ]
