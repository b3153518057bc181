"""Process 1 of a bubblewrap for one execution: its namespaces are fresh already, so nothing is forked from it.

Its descriptor 0 is the sandbox's channel.
"""

from __future__ import annotations

from .enclosure import enclose, keep_only, prepare
from .supervisor import main as supervise


def serve() -> None:
    enclose(*prepare())
    keep_only(0)
    supervise()
