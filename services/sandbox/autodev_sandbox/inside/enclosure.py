"""What a process does to itself before it runs anything for the host."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import posix
import sys

from . import kernel

# In a directory in memory a file takes a page at least, and an empty one about a quarter of it.
PAGE_BYTES, LEAST_FILES = 4096, 64
MOST_DESCRIPTORS = 2**31 - 1


def prepare() -> tuple[bytes, int]:
    """Give up what no sandbox may have. Returns what the host said in arguments: filter, and bytes in /tmp."""
    # Sent to all that an outer user may signal, it would be an exception here.
    _signal.signal(_signal.SIGINT, _signal.SIG_IGN)
    kernel.renounce_privileges()
    kernel.hide()
    program, tmp_bytes = bytes.fromhex(sys.argv[1]), int(sys.argv[2])
    del sys.argv[1:], sys.orig_argv[1:]
    return program, tmp_bytes


def enclose(tmp_bytes: int) -> None:
    """In fresh namespaces: an empty /tmp, and no capability. What is left to do is to load the filter."""
    kernel.mount_scratch(b"/tmp", tmp_bytes, max(tmp_bytes // PAGE_BYTES, LEAST_FILES))
    posix.chdir("/tmp")
    kernel.drop_capabilities()


def keep_only(channel: int, *others: int) -> None:
    """Have the channel as descriptors 0 and 1, the others from 3 on, and no more. They are moved in this order."""
    nothing = posix.open("/dev/null", posix.O_RDWR)
    kept = (channel, channel, nothing, *others)
    for target, descriptor in enumerate(kept):
        posix.dup2(descriptor, target)
    posix.closerange(len(kept), MOST_DESCRIPTORS)
