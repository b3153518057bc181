"""bubblewrap: namespaces of its own, a read-only root that holds Python alone, a system call filter, and a cgroup."""

import asyncio
import json
import os
import shutil
import signal
import time
from pathlib import Path

from autodev_sandbox import cgroup, rootfs, seccomp
from autodev_sandbox.backends import prove
from autodev_sandbox.backends.pipes import exchange, lost
from autodev_sandbox.execution import BackendUnavailable, Execution, IsolationLevel, Limits, Outcome, Status
from autodev_sandbox.report import Confinement, Report, encode_request, outcome_of

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

    async def run(self, execution: Execution) -> Outcome:
        sandbox = await self.start(execution.limits)
        group = None
        started_s = time.monotonic()
        try:
            group = self.make_group(execution.limits)
            await sandbox.enter(group)
            confinement = Confinement(limits_memory=group is None, limits_processes=group is None)
            report = await exchange(sandbox.process, encode_request(execution, confinement), execution)
            if report is None:
                await sandbox.raise_if_never_started()
            return self.outcome(execution, report, group, time.monotonic() - started_s)
        except TimeoutError:
            return lost(self.level, Status.TIMEOUT, time.monotonic() - started_s)
        finally:
            await asyncio.shield(sandbox.end(group))

    def make_group(self, limits: Limits) -> cgroup.Group | None:
        try:
            return self.cgroups.make(limits) if self.cgroups else None
        except OSError as error:
            raise BackendUnavailable(f"no cgroup can be made: {error}") from error

    def outcome(
        self, execution: Execution, report: Report | None, group: cgroup.Group | None, seconds: float
    ) -> Outcome:
        oom_kills = group.oom_kills() if group else 0
        peak_bytes = group.peak_memory_bytes() if group else 0
        if report is None:
            return lost(self.level, Status.OOM if oom_kills else Status.KILLED, seconds, peak_bytes)
        return outcome_of(execution, report, self.level, peak_bytes, oom_kills)

    async def close(self) -> None:
        """Nothing outlives an execution."""

    async def start(self, limits: Limits) -> "Sandbox":
        """Start bubblewrap; the supervisor inside waits for its request.

        On the event loop's own thread: --die-with-parent means the thread that started it.
        """
        info, info_in = os.pipe()
        filter_out, filter_in = os.pipe()
        os.write(filter_in, self.filter)
        os.close(filter_in)
        try:
            process = await asyncio.create_subprocess_exec(
                *self.command(limits, filter_out, info_in),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                pass_fds=(filter_out, info_in),
                env={},
            )
        except BaseException as error:
            os.close(info)
            if isinstance(error, OSError):
                raise BackendUnavailable(f"bubblewrap does not start: {error}") from error
            raise
        finally:
            os.close(filter_out)
            os.close(info_in)
        return Sandbox(process, info)

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


class Sandbox:
    """One running bubblewrap, and the supervisor in it, which is process 1 there."""

    def __init__(self, process: asyncio.subprocess.Process, info: int) -> None:
        self.process = process
        self.info = info
        self.supervisor: int | None = None  # A pidfd: it cannot come to mean another process.

    async def enter(self, group: cgroup.Group | None) -> None:
        """Put the supervisor into the group before it gets anything to run."""
        try:
            async with asyncio.timeout(INFO_TIMEOUT_S):
                told = json.loads(await read_to_brace(self.info))
            self.supervisor = os.pidfd_open(told["child-pid"])
            if group:
                group.add(told["child-pid"])
        except (ValueError, OSError) as error:
            raise BackendUnavailable(await self.complaint() or str(error)) from error

    async def raise_if_never_started(self) -> None:
        if complaint := await self.complaint():
            raise BackendUnavailable(complaint)

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

    async def end(self, group: cgroup.Group | None) -> None:
        self.kill()
        # bubblewrap ends when the last process inside is gone.
        await self.process.wait()
        os.close(self.info)
        if self.supervisor is not None:
            os.close(self.supervisor)
        if group:
            await group.remove()


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
