"""bubblewrap: namespaces of its own, a read-only root that holds Python alone, a system call filter, and a cgroup."""

import asyncio
import json
import os
import shutil
import signal
from pathlib import Path

from autodev_sandbox import cgroup, rootfs, seccomp
from autodev_sandbox.backends import Facility, PoolStatus, Sandbox
from autodev_sandbox.backends.socket_channel import SocketChannel, channel_pair
from autodev_sandbox.execution import BackendUnavailable, IsolationLevel, Limits, Status
from autodev_sandbox.running import prove
from autodev_sandbox.wire import Confinement

ADVICE = (
    "bubblewrap is not installed. Try: apt-get install bubblewrap (Debian, Ubuntu), dnf install bubblewrap (Fedora), "
    "apk add bubblewrap (Alpine)"
)
INFO_TIMEOUT_S = 10.0
NAMESPACES = ("user", "pid", "net", "ipc", "uts", "cgroup-try")


class NamespaceBackend:
    """Needs bubblewrap 0.7 and a kernel that lets users make namespaces; root is not needed, and given up if held."""

    level = IsolationLevel.NAMESPACE

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self.bubblewrap = ""
        self.as_nobody: list[str] = []
        self.root = Path()
        self.filter = b""
        self.cgroups: cgroup.Cgroups | None = None
        self.in_use: set[NamespaceSandbox] = set()
        self.ending: set[asyncio.Task[None]] = set()

    async def probe(self) -> str:
        self.bubblewrap = shutil.which("bwrap") or ""
        if not self.bubblewrap:
            raise BackendUnavailable(ADVICE)
        self.as_nobody = become_nobody() if os.geteuid() == 0 else []
        self.root = await asyncio.to_thread(rootfs.ensure_root, self.cache)
        self.filter = seccomp.program()
        self.cgroups = cgroup.find()
        if self.cgroups:
            try:
                await prove(self)
                return f"bubblewrap with seccomp and cgroup version {self.cgroups.version}"
            except BackendUnavailable:
                # Groups can be made here but not entered.
                self.cgroups = None
        await prove(self)
        return "bubblewrap with seccomp; no writable cgroup, so memory and processes are bounded by resource limits"

    async def take(self, limits: Limits) -> Sandbox:
        sandbox = await self.start(limits)
        try:
            await sandbox.enter(self.make_group(limits))
        except BaseException:
            await asyncio.shield(sandbox.end())
            raise
        self.in_use.add(sandbox)
        return sandbox

    def retire(self, sandbox: Sandbox) -> None:
        assert isinstance(sandbox, NamespaceSandbox)
        self.in_use.discard(sandbox)
        task = asyncio.create_task(sandbox.end())
        self.ending.add(task)
        task.add_done_callback(self.ending.discard)

    def make_group(self, limits: Limits) -> cgroup.Group | None:
        try:
            return self.cgroups.make(limits) if self.cgroups else None
        except OSError as error:
            raise BackendUnavailable(f"no cgroup can be made: {error}") from error

    def facilities(self) -> list[Facility]:
        return []

    def pool_status(self) -> PoolStatus:
        return PoolStatus(in_use=len(self.in_use), ending=len(self.ending))

    async def close(self) -> None:
        """Nothing outlives an execution."""
        await asyncio.gather(*self.ending, *(sandbox.end() for sandbox in self.in_use))

    async def start(self, limits: Limits) -> "NamespaceSandbox":
        """Start bubblewrap; the supervisor inside waits for its request.

        On the event loop's own thread: --die-with-parent means the thread that started it.
        """
        info, info_in = os.pipe()
        filter_out, filter_in = os.pipe()
        os.write(filter_in, self.filter)
        os.close(filter_in)
        channel, theirs = channel_pair()
        try:
            process = await asyncio.create_subprocess_exec(
                *self.command(limits, filter_out, info_in),
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=asyncio.subprocess.PIPE,
                pass_fds=(filter_out, info_in),
                env={},
            )
        except BaseException as error:
            os.close(info)
            channel.close()
            if isinstance(error, OSError):
                raise BackendUnavailable(f"bubblewrap does not start: {error}") from error
            raise
        finally:
            os.close(filter_out)
            os.close(info_in)
            theirs.close()
        return NamespaceSandbox(process, channel, info)

    def command(self, limits: Limits, filter_fd: int, info_fd: int) -> list[str]:
        command = [*self.as_nobody, self.bubblewrap, "--die-with-parent", "--new-session", "--as-pid-1", "--clearenv"]
        for namespace in NAMESPACES:
            command.append(f"--unshare-{namespace}")
        for name, value in rootfs.ENVIRONMENT.items():
            command += ["--setenv", name, value]
        command += ["--uid", str(rootfs.USER_ID), "--gid", str(rootfs.USER_ID), "--hostname", "sandbox"]
        # No /proc: nothing in it is needed, and without it nothing of the supervisor or the machine can be read there.
        command += ["--ro-bind", str(self.root), "/"]
        for device in rootfs.DEVICES:
            command += ["--dev-bind", f"/dev/{device}", f"/dev/{device}"]
        command += ["--size", str(limits.tmp_bytes), "--tmpfs", "/tmp", "--chdir", "/tmp"]
        return [*command, "--seccomp", str(filter_fd), "--info-fd", str(info_fd), "--", *rootfs.COMMAND]


def become_nobody() -> list[str]:
    """What to start bubblewrap with as root: in a user namespace alone, its files and processes are root's outside.

    A program and not subprocess's `user=`, for which Python forks: gRPC's fork handlers make that slow, and fail.
    """
    setpriv = shutil.which("setpriv")
    if not setpriv:
        raise BackendUnavailable("setpriv is not installed, and this is root. Try: apt-get install util-linux")
    return [setpriv, f"--reuid={rootfs.USER_ID}", f"--regid={rootfs.USER_ID}", "--clear-groups"]


class NamespaceSandbox:
    """One running bubblewrap, and the supervisor in it, which is process 1 there."""

    level = IsolationLevel.NAMESPACE

    def __init__(self, process: asyncio.subprocess.Process, channel: SocketChannel, info: int) -> None:
        self.process = process
        self.channel = channel
        self.send = channel.send
        self.receive = channel.receive
        self.info = info
        self.supervisor: int | None = None  # A pidfd: it cannot come to mean another process.
        self.group: cgroup.Group | None = None

    @property
    def confinement(self) -> Confinement:
        return Confinement(limits_memory=self.group is None, limits_processes=self.group is None)

    async def enter(self, group: cgroup.Group | None) -> None:
        """Put the supervisor into the group before it gets anything to run."""
        self.group = group
        try:
            async with asyncio.timeout(INFO_TIMEOUT_S):
                told = json.loads(await read_to_brace(self.info))
            self.supervisor = os.pidfd_open(told["child-pid"])
            if group:
                group.add(told["child-pid"])
        except (ValueError, OSError) as error:
            raise BackendUnavailable(await self.complaint() or str(error)) from error

    def oom_kills(self) -> int:
        return self.group.oom_kills() if self.group else 0

    def peak_memory_bytes(self) -> int:
        return self.group.peak_memory_bytes() if self.group else 0

    async def why_lost(self) -> Status:
        if complaint := await self.complaint():
            raise BackendUnavailable(complaint)
        return Status.OOM if self.oom_kills() else Status.KILLED

    async def complaint(self) -> str:
        """What bubblewrap said when it could not make the sandbox."""
        self.kill()
        assert self.process.stderr
        said = (await self.process.stderr.read()).decode(errors="replace").strip()
        return said if said.startswith("bwrap:") else ""

    def kill(self) -> None:
        if self.supervisor is not None:
            # The end of process 1 is the end of all others in there.
            try:
                signal.pidfd_send_signal(self.supervisor, signal.SIGKILL)
            except ProcessLookupError:
                return
        elif self.process.returncode is None:
            self.process.kill()

    async def end(self) -> None:
        if self.info < 0:
            return
        self.kill()
        # bubblewrap ends when the last process inside is gone.
        await self.process.wait()
        self.channel.close()
        os.close(self.info)
        self.info = -1
        if self.supervisor is not None:
            os.close(self.supervisor)
        if self.group:
            await self.group.remove()


async def read_to_brace(descriptor: int) -> bytes:
    """Read a pipe to the end of a JSON object, or of the pipe."""
    loop = asyncio.get_running_loop()
    text = b""
    while not text.rstrip().endswith(b"}"):
        readable: asyncio.Future[None] = loop.create_future()
        loop.add_reader(descriptor, readable.set_result, None)
        try:
            await readable
        finally:
            loop.remove_reader(descriptor)
        chunk = os.read(descriptor, 4096)
        if not chunk:
            break
        text += chunk
    return text
