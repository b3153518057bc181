"""Runs the code in a fork, watches it, ends it, and tells the host how it ended.

The supervisor alone holds the channel to the host (its descriptors 0 and 1). The code's process has three pipes, for
stdout, stderr and its message. How the code ended is what the supervisor saw, never what the code said.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import marshal
import posix
import select
import time

from .child import run_child

TYPE_CHECKING = False
if TYPE_CHECKING:
    from resource import struct_rusage

    from .child import Request

EXITED, TIMEOUT, OUTPUT_LIMIT = 0, 1, 2
CHUNK_BYTES = 65536
PR_SET_DUMPABLE = 4
MEMORY_PEAK = ("/sys/fs/cgroup/memory.peak", "/sys/fs/cgroup/memory/memory.max_usage_in_bytes")
MEMORY_EVENTS = ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control")


class HostGone(Exception):
    """Nobody waits for the result any more."""


def main() -> None:
    """Read one request from descriptor 0, write its report to descriptor 1."""
    try:
        # From the host, which is trusted; nothing that comes out of the sandbox is read this way.
        request = marshal.loads(read_exactly(int.from_bytes(read_exactly(4), "big")))
        if request["hide_supervisor"]:
            hide_from_children()
        report = Supervisor(request).run()
    except HostGone:
        # Where there is no process namespace, the group is all there is to end what the code started.
        if posix.getpgrp() == posix.getpid():
            posix.kill(0, _signal.SIGKILL)
        posix._exit(1)
    while report:
        report = report[posix.write(1, report) :]
    posix._exit(0)


def read_exactly(size: int) -> bytes:
    data = b""
    while len(data) < size:
        chunk = posix.read(0, size - len(data))
        if not chunk:
            raise HostGone
        data += chunk
    return data


def hide_from_children() -> None:
    """Close ptrace and /proc/<supervisor> to the code, which has the same user id."""
    import ctypes

    if ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError("cannot hide the supervisor")


class Supervisor:
    """One execution."""

    def __init__(self, request: Request) -> None:
        self.request = request
        # Tells the runner's own message from whatever the code wrote to that descriptor.
        self.nonce = posix.urandom(16)
        self.printed_bytes = 0
        self.message_bytes = 0
        self.wait_status: int | None = None
        self.peak_memory_bytes = 0

    def run(self) -> bytes:
        wake, child_ended = posix.pipe()
        posix.set_blocking(child_ended, False)
        _signal.set_wakeup_fd(child_ended)
        _signal.signal(_signal.SIGCHLD, lambda *_: None)
        # The one signal that Python listens to by itself; others do not reach process 1 from inside.
        _signal.signal(_signal.SIGINT, _signal.SIG_IGN)
        pipes = [posix.pipe() for _ in range(3)]
        self.gathered: dict[int, list[bytes]] = {reading: [] for reading, _ in pipes}
        self.message = pipes[2][0]
        started_s = time.monotonic()
        self.child = posix.fork()
        if self.child == 0:
            run_child(self.request, self.nonce, [writing for _, writing in pipes])
        for _, writing in pipes:
            posix.close(writing)
        ending = self.watch(wake, started_s + self.request["timeout_s"])
        duration_s = time.monotonic() - started_s
        self.end_everything()
        self.drain()
        if ending == EXITED and self.over_limit():
            ending = OUTPUT_LIMIT
        return self.report(ending, duration_s)

    def watch(self, wake: int, deadline_s: float) -> int:
        poller = select.poll()
        for descriptor in (0, wake, *self.gathered):
            poller.register(descriptor, select.POLLIN)
        while self.wait_status is None:
            remaining_s = deadline_s - time.monotonic()
            if remaining_s <= 0:
                return TIMEOUT
            for descriptor, _ in poller.poll(remaining_s * 1000 + 1):
                if descriptor == wake:
                    posix.read(wake, CHUNK_BYTES)
                    self.reap()
                elif descriptor == 0:
                    # The host sends nothing after the request: readable means closed.
                    self.end_everything()
                    raise HostGone
                elif not self.gather(descriptor):
                    poller.unregister(descriptor)
                if self.over_limit():
                    return OUTPUT_LIMIT
        return EXITED

    def gather(self, descriptor: int) -> bool:
        """Take what a pipe holds; False at its end."""
        chunk = posix.read(descriptor, CHUNK_BYTES)
        self.gathered[descriptor].append(chunk)
        if descriptor == self.message:
            self.message_bytes += len(chunk)
        else:
            self.printed_bytes += len(chunk)
        return bool(chunk)

    def over_limit(self) -> bool:
        limit = self.request["output_bytes"]
        too_much: bool = self.printed_bytes > limit or self.message_bytes > limit + len(self.nonce)
        return too_much

    def drain(self) -> None:
        """Take what is left in the pipes, without waiting for writers that may have outlived the code's process."""
        for descriptor in self.gathered:
            posix.set_blocking(descriptor, False)
            try:
                while not self.over_limit() and self.gather(descriptor):
                    pass
            except BlockingIOError:
                continue

    def reap(self) -> None:
        # As process 1 the supervisor inherits every orphan of the sandbox.
        try:
            while self.note(*posix.wait4(-1, posix.WNOHANG)):
                pass
        except ChildProcessError:
            return

    def note(self, process: int, status: int, usage: struct_rusage) -> bool:
        if process:
            self.peak_memory_bytes = max(self.peak_memory_bytes, usage.ru_maxrss * 1024)
        if process == self.child:
            self.wait_status = status
        return process != 0

    def end_everything(self) -> None:
        # Only process 1 of a sandbox's own process namespace may say "all": elsewhere that is the whole machine.
        if posix.getpid() == 1:
            try:  # noqa: SIM105  # contextlib takes time to import.
                posix.kill(-1, _signal.SIGKILL)
            except ProcessLookupError:
                pass
        if self.wait_status is None:
            posix.kill(self.child, _signal.SIGKILL)
            self.note(*posix.wait4(self.child, 0))

    def report(self, ending: int, duration_s: float) -> bytes:
        """A line of numbers, then stdout, stderr and message (see `report.py`, which reads it)."""
        status = self.wait_status or 0
        stdout, stderr, message = (b"".join(chunks) for chunks in self.gathered.values())
        limit = self.request["output_bytes"]
        stdout = stdout[:limit]
        stderr = stderr[: limit - len(stdout)]
        message = message.partition(self.nonce)[2][:limit]
        in_cgroup = self.request["reads_cgroup"]
        numbers = (
            ending,
            posix.WEXITSTATUS(status) if posix.WIFEXITED(status) else 0,
            posix.WTERMSIG(status) if posix.WIFSIGNALED(status) else 0,
            int(duration_s * 1e6),
            max(self.peak_memory_bytes, cgroup_figure(MEMORY_PEAK, "") if in_cgroup else 0),
            cgroup_figure(MEMORY_EVENTS, "oom_kill ") if in_cgroup else 0,
            len(stdout),
            len(stderr),
            len(message),
        )
        return b" ".join([b"%d" % number for number in numbers]) + b"\n" + stdout + stderr + message


def cgroup_figure(paths: tuple[str, ...], label: str) -> int:
    """A figure of the sandbox's own cgroup, by cgroup version 2 or 1; 0 where neither is there."""
    for path in paths:
        try:
            with open(path) as file:
                for line in file:
                    if line.startswith(label):
                        return int(line.removeprefix(label))
        except OSError:
            continue
    return 0
