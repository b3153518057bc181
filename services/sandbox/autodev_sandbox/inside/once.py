"""One execution: its files, its run, its report."""

from __future__ import annotations

import time

from .host import FILE, OUTPUT_LIMIT, REPORT, Host
from .interpreter import Interpreter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .child import Request


def run_once(host: Host, running: Interpreter, request: Request) -> None:
    """Run it and report how it ended."""
    if input_files := request.pop("input_files"):
        # Not wanted by most, and waited for by who is started for one request.
        from .files import put

        for path, content in input_files.items():
            put(path, content)
    running.begin(request)
    ending = running.watch(running.started_s + request["timeout_s"])
    duration_s = time.monotonic() - running.started_s
    ending = running.finish(ending)
    if not send_files(host, request):
        ending = OUTPUT_LIMIT
    host.add(REPORT, running.report(ending, duration_s))


def send_files(host: Host, request: Request) -> bool:
    """Send the files that are wanted and there; False when they are more than may come back."""
    left_bytes = request["file_bytes"]
    for path in request["output_files"]:
        from .files import take

        content = take(path, left_bytes + 1)
        if content is None:
            continue
        left_bytes -= len(content)
        if left_bytes < 0:
            return False
        host.send(FILE, path.encode() + b"\0" + content)
    return True
