"""What the namespace level is made of on this machine."""

import asyncio

from autodev_sandbox import seccomp
from autodev_sandbox.backends import Facility
from autodev_sandbox.cgroup import Cgroups
from autodev_sandbox.execution import BackendUnavailable

NO_GROUPS = "no writable cgroup: memory and processes are bounded by resource limits, the processor's share is not"
# By what bubblewrap makes for a nest, and the warden again for each execution.
KERNEL = {
    "user namespace": "no capability, inside or outside",
    "process namespace": "a fresh one for each execution: it sees no other process, and all of it ends with its first",
    "mount namespace": "a fresh one for each execution: Python alone, read-only",
    "network namespace": "a fresh one for each execution, with nothing but a loopback of its own",
    "ipc namespace": "a fresh one for each execution",
    "host name namespace": "a fresh one for each execution",
    "noexec /tmp": "a fresh one for each execution, in memory and bounded",
}
GROUPED = {
    "memory limit": "all of an execution together",
    "process limit": "all of an execution together, threads too",
    "processor limit": "a share of the processors",
}
UNGROUPED = {
    "memory limit": Facility("memory limit", True, f"by process; {NO_GROUPS}"),
    "process limit": Facility("process limit", True, f"by resource limit; {NO_GROUPS}"),
    "processor limit": Facility("processor limit", False, NO_GROUPS),
}


def facilities(bubblewrap: str, failure: str, groups: Cgroups | None) -> list[Facility]:
    """All of them: `bubblewrap` is its version, empty where it is missing; `failure` why a trial failed, if it did."""
    made = [Facility(name, not failure, failure or detail) for name, detail in KERNEL.items()]
    limits = [
        Facility(name, True, f"{detail}, by cgroup version {groups.version}") if groups else UNGROUPED[name]
        for name, detail in GROUPED.items()
    ]
    return [Facility("bubblewrap", bool(bubblewrap), bubblewrap or failure), *made, filter_facility(failure), *limits]


def filter_facility(failure: str) -> Facility:
    try:
        seccomp.program()
    except BackendUnavailable as error:
        return Facility("seccomp", False, str(error))
    return Facility("seccomp", not failure, failure or f"{len(seccomp.DENIED)} system calls refused, and unknown ones")


async def version_of(bubblewrap: str) -> str:
    """As "bubblewrap 0.8.0". Raises BackendUnavailable."""
    try:
        process = await asyncio.create_subprocess_exec(
            bubblewrap, "--version", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
    except OSError as error:
        raise BackendUnavailable(f"bubblewrap does not start: {error}") from error
    told, _ = await process.communicate()
    return told.decode(errors="replace").strip() or "bubblewrap of no known version"
