"""Programs that end in ways of their own: crashes, exits, closed descriptors."""

from tests.security.program import BRIEF, ERROR, KILLED, OK, TIMEOUT, Program, one_of

X86_CODE = """
import ctypes, mmap, os
def run(code):
    assert os.uname().machine == "x86_64"
    area = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    area.write(code)
    return ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(area)))()
"""


def signalled(number: int) -> int:
    return 128 + number


PROGRAMS = [
    Program(
        name="segmentation_fault",
        tries="reads at address zero",
        code="import ctypes\ndef f(host): ctypes.string_at(0)",
        statuses=one_of(KILLED),
        answers=lambda response: response.exit_code == signalled(11),
    ),
    Program(
        name="abort",
        tries="aborts, which would dump its core",
        code="import os\ndef f(host): os.abort()",
        statuses=one_of(KILLED),
        answers=lambda response: response.exit_code == signalled(6),
    ),
    Program(
        name="illegal_instruction",
        tries="runs bytes that are no instruction",
        code=X86_CODE + 'def f(host): run(b"\\x0f\\x0b")',
        statuses=one_of(KILLED),
        answers=lambda response: response.exit_code == signalled(4),
    ),
    Program(
        name="bus_error",
        tries="reads a mapped file that has become shorter",
        code="""
import mmap, os
def f(host):
    file = os.open("short", os.O_CREAT | os.O_RDWR, 0o600)
    os.ftruncate(file, 4096)
    area = mmap.mmap(file, 4096)
    os.ftruncate(file, 0)
    return area[0]
""",
        statuses=one_of(KILLED),
        answers=lambda response: response.exit_code == signalled(7),
    ),
    Program(
        name="stack_overflow",
        tries="recurses with the interpreter's guard taken off",
        code="""
import sys
def f(host):
    sys.setrecursionlimit(10**9)
    class Deep:
        def __getattr__(self, name): return getattr(self, name + "x")
    return repr(Deep().x)
""",
        statuses=one_of(KILLED, ERROR, TIMEOUT),
        limits=BRIEF,
    ),
    Program(
        name="killed_by_itself",
        tries="ends like one that ran out of memory",
        code="import os\ndef f(host): os.kill(os.getpid(), 9)",
        statuses=one_of(KILLED),
        answers=lambda response: response.exit_code == signalled(9),
    ),
    Program(
        name="exit_like_killed",
        tries="exits with the code that a kill would have",
        code="import os\ndef f(host): os._exit(137)",
        statuses=one_of(ERROR),
        answers=lambda response: response.exit_code == 137,
    ),
    Program(
        name="exit_0_of_a_call",
        tries="exits as if all were well, before there is a result",
        code="import os\ndef f(host): os._exit(0)",
        statuses=one_of(ERROR),
        answers=lambda response: not response.HasField("result"),
    ),
    Program(
        name="exit_by_c",
        tries="exits past the interpreter, whose own end then runs",
        code="""
import atexit, ctypes, os
def f(host):
    atexit.register(lambda: os.write(1, b"at exit"))
    ctypes.CDLL(None).exit(0)
""",
        statuses=one_of(ERROR),
    ),
    Program(
        name="fatal_error",
        tries="has the interpreter give up",
        code='import ctypes\ndef f(host): ctypes.pythonapi.Py_FatalError(b"the end")',
        statuses=one_of(KILLED),
    ),
    Program(
        name="abort_in_a_thread",
        tries="crashes beside a main thread that returns",
        code="""
import os, threading, time
def f(host):
    threading.Thread(target=os.abort).start()
    time.sleep(5)
    return 1
""",
        statuses=one_of(KILLED),
    ),
    Program(
        name="another_program_instead",
        tries="becomes another program, which ends well",
        code="""
import os, sys
def f(host): os.execv(sys.executable, [sys.executable, "-S", "-c", "print('{\\"value\\": 42}')"])
""",
        statuses=one_of(ERROR),
        answers=lambda response: not response.HasField("result"),
    ),
    Program(
        name="descriptors_closed",
        tries="closes every descriptor, the one for its result too",
        code="import os\ndef f(host):\n    os.closerange(0, 256)\n    return 1",
        statuses=one_of(ERROR),
    ),
    Program(
        name="output_closed",
        tries="closes stdout and stderr and prints",
        code="""
import os, sys
def f(host):
    print("x")
    os.close(1); os.close(2)
    sys.stdout.write("y")
    return 1
""",
        value=1,
    ),
    Program(
        name="streams_gone",
        tries="puts nothing, and nonsense, where the streams were",
        code="import sys\ndef f(host):\n    del sys.stdout\n    sys.stderr = sys.stdin = 5\n    return 1",
        value=1,
    ),
    Program(
        name="end_that_hangs",
        tries="hangs in what runs at the end: finalizers, exit handlers, threads",
        code="""
import atexit, threading, time
class Sticky:
    def __del__(self): time.sleep(60)
kept = Sticky()
def f(host):
    atexit.register(time.sleep, 60)
    threading.Thread(target=time.sleep, args=(60,)).start()
    return 1
""",
        value=1,
        answers=lambda response: response.duration_seconds < 4,
    ),
    Program(
        name="alarm_during_the_result",
        tries="interrupts the making of the result again and again",
        code="""
import signal
def ring(*_): raise KeyboardInterrupt
def f(host):
    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.0001)
    return list(range(10000))
""",
        statuses=one_of(OK, ERROR),
        value=list(range(10000)),
    ),
    Program(
        name="child_ended_signals",
        tries="floods whoever watches with children that end",
        code="""
import os, signal
def f(host):
    for _ in range(200):
        child = os.fork()
        if child == 0: os._exit(0)
        try: os.kill(os.getppid(), signal.SIGCHLD)
        except PermissionError: pass
        os.waitpid(child, 0)
    return 1
""",
        value=1,
    ),
]
