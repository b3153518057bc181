"""A service that is killed in the middle of executions leaves nothing: what it started ends with it."""

import contextlib
import threading
from pathlib import Path

import grpc
import pytest

from autodev_sandbox.execution import IsolationLevel
from tests.security.host import Host
from tests.security.processes import process_table
from tests.security.program import LEVELS, Limits, Trace
from tests.security.service import eventually, serving

ENDLESS = """
import ctypes, os, signal, time
def f(host):
    ctypes.CDLL(None).prctl(15, host["mark"].encode(), 0, 0, 0)
    open("file", "wb").write(bytes(1 << 20))
    os.fork()
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGINT): signal.signal(number, signal.SIG_IGN)
    while True: time.sleep(1)
"""


@pytest.mark.parametrize("level", LEVELS, ids=lambda level: level.name.lower())
def test_a_service_that_is_killed_leaves_nothing(level: IsolationLevel, cache: Path) -> None:
    with serving(level, cache) as service:
        host = Host(service)

        def run() -> None:
            with contextlib.suppress(grpc.RpcError):
                service.execute(ENDLESS, {"host": service.host_facts()}, Limits(timeout_s=50))

        def marked() -> int:
            return sum(process.name == host.mark for process in process_table().values())

        running = threading.Thread(target=run)
        running.start()
        eventually(lambda: marked() == 2, "the code and its child run")
        # A container that was asked for and not started yet would wait for the next service too, which removes it.
        eventually(lambda: not service.pool().starting, "the pool is whole again")
        service.kill()
        running.join()
        eventually(service.ended, lambda: f"all processes have ended: {host.after_the_end()}")
        # A folder, and groups that nobody is in, wait for the next service: there is nobody left to remove them.
        waiting = {Trace.FILE, Trace.CGROUP}
        eventually(lambda: host.after_the_end().keys() <= waiting, lambda: f"left: {host.after_the_end()}")
        host.close()
