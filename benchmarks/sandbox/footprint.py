"""What a service holds: processes, descriptors, memory, control groups, containers."""

import os
from dataclasses import dataclass
from pathlib import Path

from autodev_sandbox import cgroup

MIB = 1024 * 1024
MEMORY_SLACK = 0.05


@dataclass(frozen=True)
class Footprint:
    """Of a service and all its descendants."""

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
    """What the service with this process id holds now."""
    family = [service, *descendants(service)]
    return Footprint(
        processes=len(family),
        descriptors=sum(map(descriptors_of, family)),
        memory_bytes=sum(map(memory_of, family)),
        groups=count_groups(family),
        containers=containers,
    )


def memory_of(process: int) -> int:
    """The bytes that are no file's: a page that n processes share after a fork counts 1/n for each.

    What is mapped from files is left out: it is shared with whatever else runs on the machine, and changes with that.
    """
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(("Pss_Anon:", "Pss_Shmem:")))


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


def count_groups(family: list[int]) -> int:
    """How many control groups the service has made, in all hierarchies, by the folder that its nests are in."""
    homes = {part for process in family for part in group_path_parts(process) if part.startswith(cgroup.NAME)}
    return sum(
        1 + sum(len(names) for _, names, _ in os.walk(folder)) for home in homes for folder in cgroup.MOUNT.rglob(home)
    )


def group_path_parts(process: int) -> list[str]:
    try:
        return Path(f"/proc/{process}/cgroup").read_text().replace("\n", "/").split("/")
    except OSError:
        return []
