"""The code's process as the supervisor sees it: its pipes, its output, its end."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import marshal
import posix
import select
import time

from . import child, kernel
from .child import NONCE_BYTES
from .host import (
    ANSWERED,
    CHUNK_BYTES,
    ERROR,
    EXITED,
    LENGTH_BYTES,
    OUTPUT_LIMIT,
    STDERR,
    STDOUT,
    TIMEOUT,
    Host,
    HostGone,
    most_message_bytes,
    most_value_bytes,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from resource import struct_rusage

    from .child import Request

WARM_UP = {"warm": True, "code": "def f(): return 1", "entry_point": "f", "inputs": {}}
WARM_S, WARM_BYTES = 10.0, 1000
FIGURE_BYTES = 8192
MEMORY_PEAK = ("/sys/fs/cgroup/memory.peak", "/sys/fs/cgroup/memory/memory.max_usage_in_bytes")
MEMORY_EVENTS = ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control")
NO_FILE = -1
ERROR_BEGIN = ERROR.encode()


def never() -> bool:
    return False


class Interpreter:
    """The one process of the code's. It is there, and warm, before the request is."""

    def __init__(self, host: Host, listener: int | None = None) -> None:
        self.host = host
        self.listener = listener
        self.touched_network = False
        self.request: Request = {"output_bytes": WARM_BYTES, "streams": False}
        # Tells the runner's own messages from whatever the code wrote to that descriptor.
        self.nonce = b""
        self.printed: dict[int, bytearray] = {}
        self.printed_bytes = 0
        self.messages = bytearray()
        self.message: bytes | None = None
        self.unfed = b""
        self.wait_status: int | None = None
        self.peak_memory_bytes = 0
        self.started_s = 0.0
        self.peak_file = self.events_file = NO_FILE
        self.poller = select.poll()
        self.start()

    def start(self) -> None:
        self.wakes = self.wake, child_ended = posix.pipe()
        posix.set_blocking(child_ended, False)
        _signal.set_wakeup_fd(child_ended)
        _signal.signal(_signal.SIGCHLD, lambda *_: None)
        # The one signal that Python listens to by itself; others do not reach process 1 from inside.
        _signal.signal(_signal.SIGINT, _signal.SIG_IGN)
        self.stdout, stdout = posix.pipe()
        self.stderr, stderr = posix.pipe()
        self.answers, answers = posix.pipe()
        inputs, self.inputs = posix.pipe()
        given = [stdout, stderr, answers, inputs]
        self.process = posix.fork()
        if self.process == 0:
            child.main(given)
        for descriptor in given:
            posix.close(descriptor)
        for descriptor in (self.stdout, self.stderr, self.answers, self.inputs):
            posix.set_blocking(descriptor, False)
        self.printed = {self.stdout: bytearray(), self.stderr: bytearray()}
        for descriptor in (self.host.incoming, self.wake, self.stdout, self.stderr, self.answers):
            self.poller.register(descriptor, select.POLLIN)
        if self.listener is not None:
            self.poller.register(self.listener, select.POLLIN)

    def warm_up(self) -> None:
        """Have a trivial call answered, so that what a first call touches is touched before the request is there."""
        self.feed(marshal.dumps(WARM_UP))
        if self.watch(time.monotonic() + WARM_S, self.answered) != ANSWERED:
            raise OSError("the code's process does not answer")
        self.message = None

    def begin(self, request: Request) -> None:
        """Hand over the request; the time runs."""
        self.request = request
        if request["reads_cgroup"]:
            # Before the code could be what keeps them from being opened.
            self.peak_file, self.events_file = first_file(MEMORY_PEAK), first_file(MEMORY_EVENTS)
        self.started_s = time.monotonic()
        self.feed(marshal.dumps(request))

    def answered(self) -> bool:
        """Whether there is an answer to what it was fed; `message` is it."""
        self.message = self.next_message()
        return self.message is not None

    def watch(self, deadline_s: float, answered: Callable[[], bool] = never) -> int:
        """Gather what it says until it has answered or ended: ANSWERED, EXITED, TIMEOUT or OUTPUT_LIMIT."""
        while not answered():
            if self.wait_status is not None:
                return EXITED
            remaining_s = deadline_s - time.monotonic()
            if remaining_s <= 0:
                return TIMEOUT
            for descriptor, _ in self.poller.poll(remaining_s * 1000 + 1):
                self.attend(descriptor)
            if self.over_limit():
                return OUTPUT_LIMIT
        return ANSWERED

    def attend(self, descriptor: int) -> None:
        if descriptor == self.wake:
            posix.read(self.wake, CHUNK_BYTES)
            self.reap()
        elif descriptor == self.host.incoming:
            try:
                self.host.receive()
            except HostGone:
                self.end_everything()
                raise
        elif descriptor == self.inputs:
            self.feed_on()
        elif descriptor == self.listener:
            self.let_touch_network(descriptor)
        elif not self.gather(descriptor):
            self.poller.unregister(descriptor)

    def let_touch_network(self, listener: int) -> None:
        """Let an Internet socket be made, or a local one be named, and remember it: there is no other way to either."""
        self.touched_network = True
        try:
            kernel.let_go_on(listener)
        except OSError:
            return  # Who asked is gone, or was interrupted and asks again.

    def gather(self, descriptor: int) -> bool:
        """Take what a pipe holds; False at its end."""
        try:
            chunk = posix.read(descriptor, CHUNK_BYTES)
        except BlockingIOError:
            return True
        if descriptor == self.answers:
            self.messages += chunk
        else:
            self.take_output(descriptor, chunk)
        return bool(chunk)

    def take_output(self, descriptor: int, chunk: bytes) -> None:
        room = max(self.request["output_bytes"] - self.printed_bytes, 0)
        self.printed_bytes += len(chunk)
        if not self.request["streams"]:
            self.printed[descriptor] += chunk[:room]
        elif chunk[:room]:
            self.host.send(STDOUT if descriptor == self.stdout else STDERR, chunk[:room])

    def over_limit(self) -> bool:
        """Whether it printed or answered more than it may."""
        limit: int = self.request["output_bytes"]
        if self.printed_bytes > limit or len(self.messages) > NONCE_BYTES + LENGTH_BYTES + most_message_bytes(limit):
            return True
        if self.message is None or self.message.startswith(ERROR_BEGIN):
            return False
        return len(self.message) > most_value_bytes(limit)

    def finish(self, ending: int) -> int:
        """End it and all that came from it: how it ended after all."""
        self.end_everything()
        return self.settle(ending)

    def settle(self, ending: int) -> int:
        """Take what is left in the pipes, a message too: how it ended after all."""
        self.drain()
        self.message = self.message or self.next_message()
        return OUTPUT_LIMIT if ending in (EXITED, ANSWERED) and self.over_limit() else ending

    def drain(self) -> None:
        """Take what is left in the pipes, without waiting for writers that may have outlived the code's process."""
        for descriptor in (self.stdout, self.stderr, self.answers):
            try:
                while not self.over_limit() and (chunk := posix.read(descriptor, CHUNK_BYTES)):
                    if descriptor == self.answers:
                        self.messages += chunk
                    else:
                        self.take_output(descriptor, chunk)
            except BlockingIOError:
                continue

    def next_message(self) -> bytes | None:
        """The next whole message; None while there is none."""
        at = self.messages.find(self.nonce)
        if at < 0:
            return None
        start = at + NONCE_BYTES + LENGTH_BYTES
        end = start + int.from_bytes(self.messages[at + NONCE_BYTES : start], "big")
        if len(self.messages) < max(start, end):
            return None
        message = bytes(self.messages[start:end])
        del self.messages[:end]
        return message

    def feed(self, data: bytes) -> None:
        """Hand over something to be answered. The nonce is new: what was written before is no answer to it."""
        self.nonce = posix.urandom(NONCE_BYTES)
        self.messages.clear()
        self.unfed = self.nonce + len(data).to_bytes(LENGTH_BYTES, "big") + data
        self.poller.register(self.inputs, select.POLLOUT)
        self.feed_on()

    def feed_on(self) -> None:
        try:
            self.unfed = self.unfed[posix.write(self.inputs, self.unfed) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self.unfed = b""
        if not self.unfed:
            self.poller.unregister(self.inputs)

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
        if process == self.process:
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
            posix.kill(self.process, _signal.SIGKILL)
            self.note(*posix.wait4(self.process, 0))

    def close(self) -> None:
        """Let go of what it was watched by."""
        _signal.set_wakeup_fd(-1)
        _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
        for descriptor in (*self.wakes, *self.printed, self.answers, self.inputs):
            posix.close(descriptor)

    def report(self, ending: int, duration_s: float) -> bytes:
        """A line of numbers, then stdout, stderr and message (see `wire.py`, which reads it)."""
        status = self.wait_status or 0
        message = (self.message if ending in (EXITED, ANSWERED) else None) or b""
        stdout, stderr = bytes(self.printed[self.stdout]), bytes(self.printed[self.stderr])
        numbers = (
            ending,
            posix.WEXITSTATUS(status) if posix.WIFEXITED(status) else 0,
            posix.WTERMSIG(status) if posix.WIFSIGNALED(status) else 0,
            int(duration_s * 1e6),
            max(self.peak_memory_bytes, figure(self.peak_file, b"")),
            figure(self.events_file, b"oom_kill "),
            len(stdout),
            len(stderr),
            len(message),
        )
        return b" ".join([b"%d" % number for number in numbers]) + b"\n" + stdout + stderr + message

    def forget_output(self) -> None:
        """What was printed so far belongs to an answer that is given."""
        self.printed_bytes = 0
        for printed in self.printed.values():
            printed.clear()


def first_file(paths: tuple[str, ...]) -> int:
    """A file of the sandbox's own cgroup, by cgroup version 2 or 1; NO_FILE where neither is there."""
    for path in paths:
        try:
            return posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
        except FileNotFoundError:
            continue
    return NO_FILE


def figure(file: int, label: bytes) -> int:
    """What stands after the label; 0 where there is no file, or nothing in it."""
    if file != NO_FILE:
        for line in posix.pread(file, FIGURE_BYTES, 0).splitlines():
            if line.startswith(label):
                return int(line.removeprefix(label))
    return 0
