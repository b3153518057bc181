"""Process 1 of a bubblewrap for one execution: its namespaces are fresh already, so nothing is forked from it.

Its descriptor 0 is the sandbox's channel.
"""

from __future__ import annotations

import select

from . import kernel
from .enclosure import enclose, keep_only, prepare
from .supervisor import main as supervise


def serve() -> None:
    program, tmp_bytes = prepare()
    enclose(tmp_bytes)
    kernel.load_filter(program)
    keep_only(0)
    # The host sends nothing before this process is in its group: what is forked earlier would stay outside.
    poller = select.poll()
    poller.register(0, select.POLLIN)
    poller.poll()
    supervise()
