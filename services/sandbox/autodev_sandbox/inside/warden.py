"""Process 1 of a nest: makes one sandbox after the other in there, each by a fork into namespaces of its own.

The warden has a socket to the host (its descriptor 0), over which it is told to make a sandbox or to kill it, and tells
that one is ready, could not be made, or has ended. What runs in a sandbox goes over a socket of that sandbox's own,
which the warden hands on unread: no code, input or output ever comes to the process from which the next one is forked.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import _socket
import gc
import posix
import select
import sys

# Some of them for the forks, which need not import them then.
from . import calls, files, kernel  # noqa: F401
from .enclosure import enclose, keep_only, prepare
from .orders import ENDED, FAILED, KILL, MESSAGE_BYTES, READY
from .supervisor import main as supervise
from .supervisor import rehearse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

DESCRIPTOR_BYTES, LISTENER = 4, 3
NAMESPACES = kernel.NEW_MOUNTS | kernel.NEW_NAMES | kernel.NEW_IPC


def serve() -> None:
    """Make sandboxes, one at a time, until the host goes away. Everything in the nest ends with this process."""
    program, _ = prepare()
    rehearse()
    # What is here now is never collected: no sandbox looks at it, and thereby copies it.
    gc.collect()
    gc.freeze()
    Warden(program).serve()


class Warden:
    """`program` is the system call filter of every sandbox."""

    def __init__(self, program: bytes) -> None:
        self.program = program
        self.control = _socket.socket(fileno=0)
        self.own = posix.pidfd_open(posix.getpid())
        self.sandbox = 0

    def serve(self) -> None:
        poller = select.poll()
        poller.register(0, select.POLLIN)
        while True:
            for descriptor, _ in poller.poll():
                if descriptor:
                    poller.unregister(descriptor)
                    posix.close(descriptor)
                    self.tell_end()
                else:
                    channel, tmp_bytes = self.next_order()
                    if channel is not None and (ending := self.fork_sandbox(channel, tmp_bytes)):
                        poller.register(ending, select.POLLIN)

    def next_order(self) -> tuple[int | None, int]:
        """The channel and the bytes in /tmp of a sandbox to make; no channel where there was something else to do."""
        message, rights, _, _ = self.control.recvmsg(MESSAGE_BYTES, _socket.CMSG_SPACE(DESCRIPTOR_BYTES))
        if not message:
            posix._exit(0)
        if message == KILL:
            # The number of one that has ended is forgotten before another can have it.
            if self.sandbox:
                posix.kill(self.sandbox, _signal.SIGKILL)
            return None, 0
        return int.from_bytes(rights[0][2][:DESCRIPTOR_BYTES], sys.byteorder), int(message)

    def fork_sandbox(self, channel: int, tmp_bytes: int) -> int | None:
        """A descriptor that becomes readable when the sandbox has ended; None if there is none."""
        kernel.unshare(kernel.NEW_PROCESSES)
        try:
            self.sandbox = posix.fork()
            if not self.sandbox:
                self.become_sandbox(channel, tmp_bytes)
            return posix.pidfd_open(self.sandbox)
        except OSError as error:
            self.tell_failure(error)
            return None
        finally:
            posix.close(channel)
            # Else the next fork would end up in this sandbox's processes, or, once it has ended, not begin.
            kernel.enter_process_namespace(self.own)

    def become_sandbox(self, channel: int, tmp_bytes: int) -> NoReturn:
        try:
            if (listener := self.make_sandbox(tmp_bytes)) is not None:
                self.control.detach()
                keep_only(channel, listener)
                supervise(listener=LISTENER)
        finally:
            # A supervisor that fails, at whatever it is, vouches for nothing.
            posix._exit(1)

    def make_sandbox(self, tmp_bytes: int) -> int | None:
        """The filter's listener, once it is told that the sandbox is there; None if it is told why it cannot be."""
        try:
            # A signal to its own group reaches every member, those outside its process namespace too.
            posix.setsid()
            kernel.unshare(NAMESPACES)
            enclose(tmp_bytes)
            listener = kernel.load_asking_filter(self.program)
            self.control.send(READY)
        except OSError as error:
            self.tell_failure(error)
            return None
        return listener

    def tell_end(self) -> None:
        _, status = posix.waitpid(self.sandbox, 0)
        self.sandbox = 0
        if status:
            self.renew_network()
        self.tell(ENDED + b"%d" % status)

    def renew_network(self) -> None:
        """Have a fresh network namespace for the next sandbox.

        Internet sockets leave something behind in one, such as counts and ports that are held for a while, and a local
        socket's name is there for as long as the socket is on its way to nobody. Making a network namespace costs as
        much as the rest of a sandbox's, so it is kept while its supervisor vouches for there having been neither: while
        its status is 0.
        """
        try:
            kernel.unshare(kernel.NEW_NETWORK)
            kernel.raise_loopback()
        except OSError:
            posix._exit(1)

    def tell_failure(self, error: OSError) -> None:
        self.tell(FAILED + str(error).encode())

    def tell(self, message: bytes) -> None:
        try:
            self.control.send(message)
        except OSError:
            posix._exit(1)  # The host is gone.
