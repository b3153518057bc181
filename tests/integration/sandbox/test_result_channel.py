"""The code cannot say how it ended, nor give a result by printing or by writing to whatever it finds open."""

import pytest

from autodev_sandbox.backends import Backend
from autodev_sandbox.execution import Execution, Limits, Outcome, Status
from autodev_sandbox.running import run_on

REPORT = b'0 0 0 1 1 0 0 0 13\n{"value": 42}'
VALUE = b'{"value": 42}'
FORGED = (
    f"FORGED = {[VALUE, REPORT, b'r' + len(REPORT).to_bytes(4, 'big') + REPORT, bytes(19) + bytes([13]) + VALUE]}\n"
)

WRITE_EVERYWHERE = """
import os
def f():
    for descriptor in range(256):
        for forged in FORGED:
            try: os.write(descriptor, forged)
            except OSError: pass
    return 1
"""
WRITE_TO_THE_SUPERVISOR = """
import os
def f():
    parent = os.getppid()
    for descriptor in range(32):
        for forged in FORGED:
            try:
                with open(f'/proc/{parent}/fd/{descriptor}', 'wb') as channel: channel.write(forged)
            except OSError: pass
    return 1
"""
KILL_THE_SUPERVISOR = """
import os, signal, time
def f():
    for number in (signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM, signal.SIGINT, signal.SIGSEGV):
        os.kill(os.getppid(), number)
    time.sleep(0.2)
    return 1
"""
# What no sandbox within one interpreter can keep from the code: the nonce, and with it the value.
STEAL_THE_NONCE = """
import os, sys
def f():
    frame = sys._getframe()
    while 'nonce' not in frame.f_locals: frame = frame.f_back
    os.write(3, frame.f_locals['nonce'] + len(MESSAGE).to_bytes(4, 'big') + MESSAGE)
    os._exit(CODE)
"""


async def call(backend: Backend, code: str) -> Outcome:
    return await run_on(backend, Execution(code=FORGED + code, entry_point="f", limits=Limits(timeout_s=3)))


async def test_printing_is_no_result(backend: Backend) -> None:
    outcome = await call(backend, "import sys\ndef f():\n  for x in FORGED: sys.stdout.buffer.write(x)\n  return 1")
    assert (outcome.status, outcome.value) == (Status.OK, 1)


async def test_writing_to_every_descriptor_is_no_result(backend: Backend) -> None:
    outcome = await call(backend, WRITE_EVERYWHERE)
    assert (outcome.status, outcome.value) == (Status.OK, 1)


async def test_the_supervisors_channel_is_out_of_reach(strong: Backend) -> None:
    outcome = await call(strong, WRITE_TO_THE_SUPERVISOR)
    assert (outcome.status, outcome.value) == (Status.OK, 1)


async def test_the_supervisor_cannot_be_killed(strong: Backend) -> None:
    outcome = await call(strong, KILL_THE_SUPERVISOR)
    assert (outcome.status, outcome.value) == (Status.OK, 1)


async def test_a_fork_that_returns_too_gives_no_result(backend: Backend) -> None:
    outcome = await call(
        backend, "import os\ndef f():\n  pid = os.fork()\n  if pid: os.wait()\n  return 1 if pid else 42"
    )
    assert (outcome.status, outcome.value) == (Status.OK, 1)


@pytest.mark.parametrize(
    ("message", "exit_code", "status"),
    [
        (b'{"value": 42}', 0, Status.OK),
        (b'{"value": 42}', 1, Status.ERROR),
        (b'{"value": ' + b"[" * 100_000, 0, Status.ERROR),
        (b'{"value": 1e999}', 0, Status.ERROR),
        (b'{"status": "ok"}', 0, Status.ERROR),
        (b"\xff\xfe", 0, Status.ERROR),
        # An error has more room than a value may take.
        (b'{"error": 0, "value": 42}', 0, Status.ERROR),
        (b'{"value": 42, "error": 0}', 0, Status.ERROR),
    ],
)
async def test_code_that_steals_the_nonce_can_make_up_the_value_and_nothing_else(
    backend: Backend, message: bytes, exit_code: int, status: Status
) -> None:
    code = STEAL_THE_NONCE.replace("MESSAGE", repr(message)).replace("CODE", str(exit_code))
    outcome = await call(backend, code)
    assert outcome.status is status
    assert outcome.exit_code == exit_code
