"""Runs the code in a fork, watches it, ends it, and tells the host how it ended.

The supervisor alone holds the channel to the host. The code's process has pipes, for stdout, stderr, its messages and,
where it is called again and again, its inputs. How the code ended is what the supervisor saw, never what the code said.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import gc
import marshal
import posix

from . import child
from .host import LENGTH_BYTES, READY, Host, HostGone
from .interpreter import Interpreter
from .once import run_once

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# What a request of the host's looks like, with nothing to confine and little to do.
REHEARSAL = {
    "entry_point": "f",
    "inputs": {},
    "timeout_s": 10.0,
    "output_bytes": 10_000,
    "streams": False,
    "reads_cgroup": False,
    "filter": b"",
    "tmp_bytes": None,
    "address_space_bytes": None,
    "processes": None,
    "input_files": {},
    "output_files": [],
    "file_bytes": 0,
}
SOON_MS = 5
TOUCHED_NETWORK = 2
REHEARSED = ("def f(): return [1, 'a']", "def f(): return {}['x']")


def main(when_ready: Callable[[], None] = lambda: None, listener: int | None = None) -> None:
    """Serve one request of the host, and end. What can be done before it is there is done before; then it is told.

    With the listener of a filter that tells of the network (`seccomp.py`) the status is TOUCHED_NETWORK if it told.
    """
    # What is here now is neither looked at nor touched when the code's process collects its garbage.
    gc.disable()
    gc.freeze()
    try:
        touched = serve(Host(0, 1), when_ready, listener)
    except HostGone:
        # Where there is no process namespace, the group is all there is to end what the code started.
        if posix.getpgrp() == posix.getpid():
            posix.kill(0, _signal.SIGKILL)
        posix._exit(1)
    posix._exit(TOUCHED_NETWORK if touched else 0)


def tell_ready() -> None:
    """Tell a host that waits to hear it (`backends/attached.py`)."""
    posix.write(2, READY)


def serve(host: Host, when_ready: Callable[[], None] = lambda: None, listener: int | None = None) -> bool:
    """Serve one request: whether the network was touched, if there is a listener to tell. Raises HostGone."""
    running = Interpreter(host, listener)
    # What is asked at once is not kept waiting, nor is a busy machine by warming up for nothing.
    if not host.has_sent(within_ms=SOON_MS):
        running.warm_up()
    when_ready()
    request = host.request()
    if "calls" in request:
        # Not wanted by most, and waited for by who is started for one request.
        from .calls import make_calls

        make_calls(host, running, request)
    else:
        run_once(host, running, request)
    host.flush()
    running.close()
    return running.touched_network


def rehearse() -> None:
    """Serve requests of our own, so that forks of this process find made what each would make for itself."""
    # What the forks of a rehearsal do is theirs alone: what they all need, this process does itself.
    child.compiled("")
    for code in REHEARSED:
        requests, ask = posix.pipe()
        answer, reports = posix.pipe()
        data = marshal.dumps(REHEARSAL | {"code": code})
        posix.write(ask, len(data).to_bytes(LENGTH_BYTES, "big") + data)
        serve(Host(requests, reports))
        for descriptor in (requests, ask, answer, reports):
            posix.close(descriptor)
