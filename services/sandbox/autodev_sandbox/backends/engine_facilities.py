"""What an engine says of the isolation that it gives."""

from typing import Any

from autodev_sandbox.backends import Facility
from autodev_sandbox.execution import BackendUnavailable

GVISOR_RUNTIME = "runsc"


def facilities_of(info: dict[str, Any], runtime: str | None) -> list[Facility]:
    """From the engine's own account (`docker info`); none while it is not known."""
    if not info:
        return []
    cgroup = f"cgroup version {info.get('CgroupVersion', '1')}, {info.get('CgroupDriver', '?')}"
    options = security_options(info)
    return [
        Facility("engine", True, f"{info.get('ServerVersion', '?')} on {info.get('OperatingSystem', '?')}"),
        Facility("runtime", runtime is None or runtime in info.get("Runtimes", {}), runtime or default_runtime(info)),
        gvisor(info, runtime),
        Facility("namespaces", True, "pid, mount, ipc, uts, network: no network, no shared memory"),
        Facility("root", True, "read-only, holds Python alone; /tmp is a tmpfs, noexec, nosuid, nodev, inodes bounded"),
        Facility("privileges", True, "user 65534, all capabilities dropped, no new privileges"),
        limit("memory cgroup", info.get("MemoryLimit"), cgroup),
        limit("swap limit", info.get("SwapLimit"), "no swap beyond the memory limit"),
        limit("processes cgroup", info.get("PidsLimit"), cgroup),
        limit("cpu cgroup", info.get("CpuCfsQuota"), cgroup),
        seccomp(options),
        confiner(options),
        user_namespace(options),
    ]


def default_runtime(info: dict[str, Any]) -> str:
    return str(info.get("DefaultRuntime", "?"))


def check_limits(info: dict[str, Any]) -> None:
    """Raises BackendUnavailable where the engine would take a container's limits, warn, and not keep them."""
    for name, controller in (("MemoryLimit", "memory"), ("PidsLimit", "pids")):
        if not info.get(name):
            raise BackendUnavailable(
                f"the engine bounds no container's {controller}: its machine has no such control group. "
                f"Try: enable the {controller} controller at the machine's boot, and delegate it to a rootless engine"
            )


def security_options(info: dict[str, Any]) -> dict[str, str]:
    """From lines like "name=seccomp,profile=default": names and what is said of each."""
    found = {}
    for line in info.get("SecurityOptions") or []:
        name, _, rest = line.removeprefix("name=").partition(",")
        found[name] = rest
    return found


def limit(name: str, given: bool | None, detail: str) -> Facility:
    if given:
        return Facility(name, True, detail)
    return Facility(name, False, "the engine's kernel does not keep it. Try: enable the controller at boot")


def gvisor(info: dict[str, Any], runtime: str | None) -> Facility:
    if GVISOR_RUNTIME not in info.get("Runtimes", {}):
        return Facility("gVisor", False, "not installed. Try: install runsc and register it by `runsc install`")
    if runtime == GVISOR_RUNTIME:
        return Facility("gVisor", True, "code talks to gVisor's kernel, not to this machine's; /proc is empty")
    return Facility("gVisor", False, "the engine has it: ask for CONTAINER_GVISOR")


def seccomp(options: dict[str, str]) -> Facility:
    if "seccomp" not in options:
        return Facility("seccomp", False, "the engine filters no system calls: its kernel or its build cannot")
    profile = options["seccomp"].removeprefix("profile=") or "default"
    if profile == "unconfined":
        return Facility("seccomp", False, "the engine's default profile is unconfined. Try: remove its seccomp-profile")
    return Facility("seccomp", True, f"the engine's filter, profile {profile}")


def confiner(options: dict[str, str]) -> Facility:
    for name in ("apparmor", "selinux"):
        if name in options:
            return Facility("mandatory access control", True, name)
    return Facility("mandatory access control", False, "the engine's kernel has neither AppArmor nor SELinux on")


def user_namespace(options: dict[str, str]) -> Facility:
    if "rootless" in options:
        return Facility("user namespace", True, "the engine itself runs without root")
    if "userns" in options:
        return Facility("user namespace", True, "userns-remap: users inside are nobody's outside")
    return Facility("user namespace", False, 'not used. Try: "userns-remap": "default" in the engine\'s daemon.json')
