"""bubblewrap: namespaces of its own, a read-only root that holds Python alone, a system call filter, and a cgroup.

One bubblewrap, a *nest*, serves many executions, each in fresh namespaces within it (docs/decisions/0013).
"""

import asyncio
import os
import shutil
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from autodev_sandbox import cgroup, rootfs, seccomp
from autodev_sandbox.backends import Facility, PoolStatus, Sandbox
from autodev_sandbox.backends.bubblewrap import Recipe, end_orphans
from autodev_sandbox.backends.namespace_facilities import NO_GROUPS, facilities, version_of
from autodev_sandbox.backends.nest import Nest, NestSandbox
from autodev_sandbox.backends.single import SingleSandbox
from autodev_sandbox.execution import BackendUnavailable, IsolationLevel, Limits
from autodev_sandbox.pool import Pool
from autodev_sandbox.running import prove

ADVICE = (
    "{package} is not installed. Try: apt-get install {package} (Debian, Ubuntu), dnf install {package} (Fedora), "
    "apk add {package} (Alpine)"
)
NAMESPACES = ("user", "pid", "net", "ipc", "uts", "cgroup-try")
# In its own user namespace, for making namespaces, raising the loopback, and giving up these.
WARDENS_CAPABILITIES = ("CAP_SYS_ADMIN", "CAP_NET_ADMIN", "CAP_SETPCAP")
PYTHON = (rootfs.PYTHON, *rootfs.OPTIONS, "-c")
WARDEN, SINGLE = (
    f"{rootfs.SETUP}from {rootfs.INSIDE_PACKAGE}.{module} import serve; serve()" for module in ("warden", "single")
)
IDLE_NEST_S = 10.0
MOST_EXECUTIONS = 1000


class NamespaceBackend:
    """Needs bubblewrap 0.7 and Linux 5.5 that lets users make namespaces; root is not needed, and given up if held.

    `ceiling` 0 keeps nothing ready: each execution has a nest of its own.
    """

    level = IsolationLevel.NAMESPACE

    def __init__(self, cache: Path, *, packages: tuple[str, ...] = (), floor: int = 1, ceiling: int = 8) -> None:
        self.cache = cache
        self.packages = packages
        self.nest_recipe = self.single_recipe = Recipe((), PYTHON, b"")
        self.cgroups: cgroup.Cgroups | None = None
        self.found = facilities("", "not tried yet", None)
        self.nests: set[Nest] = set()
        self.idle: dict[Nest, asyncio.TimerHandle] = {}
        self.pool = Pool(self.make, floor=floor, ceiling=ceiling) if ceiling else None
        self.single: set[SingleSandbox] = set()
        self.tasks: set[asyncio.Task[None]] = set()

    async def probe(self) -> str:
        version = ""
        try:
            version = await version_of(program("bwrap", "bubblewrap"))
            await self.prepare()
            if self.pool:
                self.pool.open()
            await prove(self)
        except BackendUnavailable as error:
            self.found = facilities(version, str(error), None)
            raise
        self.found = facilities(version, "", self.cgroups)
        return f"{version} with seccomp; " + (f"cgroup version {self.cgroups.version}" if self.cgroups else NO_GROUPS)

    async def prepare(self) -> None:
        """Find what nests are made of, and make the first."""
        await asyncio.to_thread(end_orphans)
        root = await asyncio.to_thread(rootfs.ensure_root, self.cache, self.packages)
        as_nobody = become_nobody() if os.geteuid() == 0 else []
        bubblewrap = [*as_nobody, program("bwrap", "bubblewrap"), *options(root)]
        self.nest_recipe = Recipe(bubblewrap, PYTHON, seccomp.program(tells_of_network=True))
        self.single_recipe = Recipe(bubblewrap, PYTHON, seccomp.program())
        self.cgroups = self.cgroups or await asyncio.to_thread(self.claim_groups)
        try:
            self.keep(await self.start_nest())
        except BackendUnavailable:
            if not self.cgroups:
                raise
            # Groups can be made here but, it may be, not entered.
            self.cgroups.release()
            self.cgroups = None
            self.keep(await self.start_nest())

    def claim_groups(self) -> cgroup.Cgroups | None:
        """Where groups can be made, for this service alone."""
        groups = cgroup.find()
        try:
            if groups:
                groups.claim()
        except OSError:
            return None
        return groups

    async def take(self, limits: Limits) -> Sandbox:
        if not self.pool:
            return await self.make_single(limits)
        sandbox = await self.pool.take()
        try:
            await sandbox.admit(limits)
        except BaseException:
            self.retire(sandbox)
            raise
        return sandbox

    def retire(self, sandbox: Sandbox) -> None:
        if isinstance(sandbox, SingleSandbox):
            self.single.discard(sandbox)
            self.in_background(sandbox.end())
        elif isinstance(sandbox, NestSandbox) and self.pool:
            self.pool.retire(sandbox)

    def facilities(self) -> list[Facility]:
        return self.found

    def pool_status(self) -> PoolStatus:
        return self.pool.status() if self.pool else PoolStatus(in_use=len(self.single), ending=len(self.tasks))

    async def close(self) -> None:
        if self.pool:
            await self.pool.close()
        await asyncio.gather(*self.tasks, *(sandbox.end() for sandbox in self.single))  # noqa: TID251 -- all must close
        await asyncio.gather(*map(self.discard, list(self.nests)))  # noqa: TID251 -- all must close
        if self.cgroups:
            self.cgroups.release()
            self.cgroups = None

    async def make(self) -> NestSandbox:
        """A sandbox in a nest that is free, or in another. Raises BackendUnavailable."""
        while self.idle:
            nest, timer = self.idle.popitem()
            timer.cancel()
            try:
                return await self.make_in(nest)
            except BackendUnavailable:
                continue  # It has died since.
        return await self.make_in(await self.start_nest())

    async def make_in(self, nest: Nest) -> NestSandbox:
        try:
            return NestSandbox(nest, await nest.open(Limits.tmp_bytes), Limits.tmp_bytes, self.leave)
        except BaseException:
            await asyncio.shield(self.discard(nest))
            raise

    async def start_nest(self) -> Nest:
        """Raises BackendUnavailable."""
        nest = Nest.start(self.nest_recipe, WARDEN)
        self.nests.add(nest)
        try:
            await nest.bubblewrap.enter(self.make_group())
        except BaseException:
            await asyncio.shield(self.discard(nest))
            raise
        return nest

    async def make_single(self, limits: Limits) -> SingleSandbox:
        """A sandbox in a bubblewrap of its own. Raises BackendUnavailable."""
        sandbox = SingleSandbox.start(self.single_recipe, SINGLE, limits)
        self.single.add(sandbox)
        try:
            await sandbox.admit(limits, self.make_group())
        except BaseException:
            self.single.discard(sandbox)
            await asyncio.shield(sandbox.end())
            raise
        return sandbox

    def make_group(self) -> cgroup.Group | None:
        try:
            return self.cgroups.make() if self.cgroups else None
        except OSError as error:
            raise BackendUnavailable(f"no cgroup can be made: {error}") from error

    async def leave(self, nest: Nest) -> None:
        """Keep a nest for another sandbox, unless something of the last one seems to be left."""
        nest.executions += 1
        if nest.executions < MOST_EXECUTIONS and await nest.is_clean():
            self.keep(nest)
        else:
            await self.discard(nest)

    def keep(self, nest: Nest) -> None:
        """Have it ready for a sandbox, for a while."""
        timer = asyncio.get_running_loop().call_later(IDLE_NEST_S, self.let_go, nest)
        self.idle[nest] = timer

    def let_go(self, nest: Nest) -> None:
        del self.idle[nest]
        self.in_background(self.discard(nest))

    async def discard(self, nest: Nest) -> None:
        if timer := self.idle.pop(nest, None):
            timer.cancel()
        try:
            await nest.close()
        finally:
            self.nests.discard(nest)

    def in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


def options(root: Path) -> list[str]:
    """bubblewrap's, for every nest."""
    options = ["--die-with-parent", "--new-session", "--as-pid-1", "--clearenv"]
    for namespace in NAMESPACES:
        options.append(f"--unshare-{namespace}")
    for capability in WARDENS_CAPABILITIES:
        options += ["--cap-add", capability]
    for name, value in rootfs.ENVIRONMENT.items():
        options += ["--setenv", name, value]
    options += ["--uid", str(rootfs.USER_ID), "--gid", str(rootfs.USER_ID), "--hostname", "sandbox"]
    # No /proc: nothing in it is needed, and without it nothing of the supervisor or the machine can be read there.
    options += ["--ro-bind", str(root), "/"]
    for device in rootfs.DEVICES:
        options += ["--dev-bind", f"/dev/{device}", f"/dev/{device}"]
    return options


def program(name: str, package: str) -> str:
    """Where it is. Raises BackendUnavailable."""
    if path := shutil.which(name):
        return path
    raise BackendUnavailable(ADVICE.format(package=package))


def become_nobody() -> list[str]:
    """What to start bubblewrap with as root. Raises BackendUnavailable.

    In a user namespace alone, its files and processes are root's outside. A program and not subprocess's `user=`, for
    which Python forks: gRPC's fork handlers make that slow, and fail. `chroot` changes nothing here but the user, and
    starts in half of the time that `setpriv` takes.
    """
    user = rootfs.USER_ID
    return [program("chroot", "coreutils"), f"--userspec=+{user}:+{user}", "--groups=", "--skip-chdir", "/"]
