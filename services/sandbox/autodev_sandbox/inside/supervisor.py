"""Runs the code in a fork, watches it, ends it, and tells the host how it ended.

The supervisor alone holds the channel to the host. The code's process has pipes, for stdout, stderr, its messages and,
where it is called again and again, its inputs. How the code ended is what the supervisor saw, never what the code said.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import gc
import posix

from .calls import make_calls
from .host import Host, HostGone
from .interpreter import Interpreter
from .once import run_once

PR_SET_DUMPABLE = 4


def main() -> None:
    """Serve one request of the host, and end. What can be done before it is there is done before."""
    # What is here now is neither looked at nor touched when the code's process collects its garbage.
    gc.disable()
    gc.freeze()
    host = Host()
    try:
        running = Interpreter(host)
        if not host.has_sent():
            running.warm_up()
        request = host.request()
        if "calls" in request:
            make_calls(host, running, request)
        else:
            run_once(host, running, request)
        host.flush()
    except HostGone:
        # Where there is no process namespace, the group is all there is to end what the code started.
        if posix.getpgrp() == posix.getpid():
            posix.kill(0, _signal.SIGKILL)
        posix._exit(1)
    posix._exit(0)


def hide() -> None:
    """Close ptrace and /proc/<supervisor> to the code, which has the same user id, where there is a /proc."""
    import ctypes

    if ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError("cannot hide the supervisor")
