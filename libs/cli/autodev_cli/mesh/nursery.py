"""Starts services by forking a process that has imported already what they all need.

Importing takes a second of processor time, most of it for libraries that every service uses. A nursery imports those
once and forks for each service, so that the mesh starts in half the time, and the services share the pages.

Run by `Nursery` as `python -m autodev_cli.mesh.nursery <supervisor's pid> <module to preload>...`. It reads a line of
JSON for each process to start and writes one when a process has started or ended. It stays what makes forking safe: one
thread, and no gRPC object ever made. Nothing here may import what starts a thread.
"""

import contextlib
import ctypes
import gc
import importlib
import json
import os
import runpy
import select
import signal
import sys
from typing import Any

PRELOADED = (
    "aiosqlite",
    "autodev.gateway.v1.event_service_pb2_grpc",
    "autodev_runtime.mesh",
    "autodev_runtime.migrations",
    "autodev_runtime.outbox",
    "autodev_runtime.server",
    "sqlalchemy.dialects.sqlite.aiosqlite",
)

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Serve requests until the supervisor closes the pipe, and every process has ended."""
    end_with_parent(int(sys.argv[1]))
    # Ctrl-C in the terminal is the supervisor's to hear; it tells the services.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in (*PRELOADED, *sys.argv[2:]):
        importlib.import_module(name)
    gc.freeze()
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    _serve(wake_read)


def end_with_parent(parent_pid: int) -> None:
    """Have the kernel send SIGTERM when the parent dies. Elsewhere than on Linux there is no such thing."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent_pid:
        # It died before the request was made, so nobody will send the signal.
        sys.exit("the supervisor is gone")


def _serve(wake: int) -> None:
    requests, names, buffered = [0], dict[int, str](), b""
    while requests or names:
        readable, _, _ = select.select([*requests, wake], [], [])
        if wake in readable:
            os.read(wake, 1024)
            _report_ended(names)
        if 0 in readable:
            chunk = os.read(0, 65536)
            if not chunk:
                requests = []
            *lines, buffered = (buffered + chunk).split(b"\n")
            for line in lines:
                _start(json.loads(line), names)


def _start(request: dict[str, Any], names: dict[int, str]) -> None:
    nursery = os.getpid()
    pid = os.fork()
    if pid == 0:
        _become(request, nursery)
    names[pid] = request["name"]
    _tell(started=request["name"], pid=pid)


def _become(request: dict[str, Any], nursery: int) -> None:
    """In the new process: be the service, and never come back."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    os.setsid()
    end_with_parent(nursery)
    nowhere = os.open(os.devnull, os.O_RDONLY)
    log = open_log(request["log"])
    for source, target in ((nowhere, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.closerange(3, 64)
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = [request["module"]]
    code = 1
    try:
        runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as exit_:
        code = exit_.code if isinstance(exit_.code, int) else int(exit_.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        # Past the interpreter's own ending, which would run the nursery's.
        os._exit(code)


def open_log(path: str) -> int:
    """A descriptor that appends to a log, which nobody else on the machine may read, also one that is there."""
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    # Another's file keeps its mode.
    with contextlib.suppress(PermissionError):
        os.fchmod(log, 0o600)
    return log


def _report_ended(names: dict[int, str]) -> None:
    while names:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        _tell(ended=names.pop(pid), pid=pid, code=os.waitstatus_to_exitcode(status))


def _tell(**news: object) -> None:
    os.write(1, json.dumps(news).encode() + b"\n")


if __name__ == "__main__":
    main()
