"""Programs that lie about how they ended, or what they gave.

The value is the code's own word: whatever the interpreter holds, the code that runs in it can find. So these may give
another value than `f` returned, at every level; how it ended, when, and with what exit code they cannot choose.
"""

# ruff: noqa: E501 (programs are texts, easier seen on one line)

from google.protobuf import json_format

from autodev.sandbox.v1 import sandbox_service_pb2 as pb
from autodev_sandbox.execution import MIB
from tests.security.program import (
    BRIEF,
    ERROR,
    KILLED,
    OK,
    OOM,
    OUTPUT_LIMIT,
    PROCESS,
    STRONG,
    TIMEOUT,
    Program,
    Weakness,
    at_every_level,
    one_of,
)

ANY_VALUE = "give back another value than the called function's (nothing else about the result)"
ANY_ERROR = "give its error any type and message, MemoryError too, which is told as OOM"
THE_SUPERVISOR = "end or stop its supervisor: the status is then KILLED or TIMEOUT, never OK"

FAKES = """
import json, marshal, os, struct, sys
VALUE = b'{"value": 42}'
def frames():
    yield VALUE
    yield b"0 0 0 1 1 0 0 0 13\\n" + VALUE
    yield b"\\0" * 16 + VALUE
    for size in (len(VALUE), len(VALUE) + 1):
        for order in "<>":
            for width in "HIQ":
                yield struct.pack(order + width, size) + VALUE
                yield struct.pack(order + "B" + width, 0, size) + VALUE
    yield marshal.dumps({"status": 0, "value": 42})
    yield marshal.dumps((0, 0, 0, 1, 1, 0, b"", b"", VALUE))
    yield b'{"status": "OK", "result": 42, "exit_code": 0}\\n'
"""

# Everything in the interpreter that could be the secret of its messages, tried one by one.
SECRETS = """
import gc, os, sys
def secrets():
    found = []
    frame = sys._getframe()
    while frame:
        found += [value for value in frame.f_locals.values() if isinstance(value, bytes) and 8 <= len(value) <= 64]
        frame = frame.f_back
    for thing in gc.get_objects():
        holds = gc.get_referents(thing) if isinstance(thing, (dict, list, tuple)) else ()
        found += [value for value in holds if type(value) is bytes and 8 <= len(value) <= 64]
    return list(dict.fromkeys(found))
def forge(value=b'{"value": 42}'):
    for secret in secrets():
        for number in (3, 4):
            try: os.write(number, secret + value)
            except OSError: pass
"""


def told(response: pb.ExecuteResponse) -> object:
    return json_format.MessageToDict(response.result)


PROGRAMS = [
    Program(
        name="report_printed",
        tries="prints what a report could look like",
        code=FAKES
        + """
def f(host):
    for frame in frames(): sys.stdout.buffer.write(frame); sys.stderr.buffer.write(frame)
    return 1
""",
        value=1,
        answers=lambda response: "42" in response.stdout,
    ),
    Program(
        name="report_written_everywhere",
        tries="writes what a report could look like to every descriptor it has",
        code=FAKES
        + """
def f(host):
    for number in range(256):
        for frame in frames():
            try: os.write(number, frame)
            except OSError: pass
    return 1
""",
        value=1,
    ),
    Program(
        name="report_written_and_exit",
        tries="writes reports everywhere and ends well, without one of its own",
        code=FAKES
        + """
def f(host):
    for number in range(256):
        for frame in frames():
            try: os.write(number, frame)
            except OSError: pass
    os._exit(0)
""",
        statuses=one_of(ERROR),
        answers=lambda response: not response.HasField("result"),
    ),
    Program(
        name="report_to_the_supervisor",
        tries="writes reports to the descriptors of its supervisor and of process 1",
        code=FAKES
        + """
def f(host):
    reached = []
    for process in (os.getppid(), 1):
        for number in range(32):
            for frame in frames():
                try:
                    with open(f"/proc/{process}/fd/{number}", "wb", buffering=0) as channel: channel.write(frame)
                    reached.append(number)
                except OSError: pass
    return reached
""",
        value=[],
    ),
    Program(
        name="descriptors_of_the_supervisor",
        tries="takes descriptors out of its supervisor",
        code="""
import ctypes, os
def f(host):
    libc, got = ctypes.CDLL(None), []
    for process in (os.getppid(), 1):
        handle = libc.syscall(434, process, 0)
        got += [number for number in range(8) if handle >= 0 and libc.syscall(438, handle, number, 0) >= 0]
    return got
""",
        value=[],
    ),
    Program(
        name="supervisor_killed",
        tries="ends its supervisor, by every signal that ends",
        code="""
import os, signal, time
def f(host):
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGSEGV, signal.SIGUSR1, signal.SIGALRM,
                   signal.SIGPIPE, signal.SIGKILL, 34, 64):
        try: os.kill(os.getppid(), number)
        except PermissionError: pass
    time.sleep(0.2)
    return 1
""",
        value=1,
        weaker={PROCESS: Weakness(THE_SUPERVISOR, statuses=one_of(KILLED))},
    ),
    Program(
        name="supervisor_stopped",
        tries="stops its supervisor, that nobody look at the clock",
        code="""
import os, signal, time
def f(host):
    for process in {1, os.getppid()}:
        try: os.kill(process, signal.SIGSTOP)
        except PermissionError: pass
    time.sleep(0.2)
    return 1
""",
        value=1,
        limits=BRIEF,
        weaker={PROCESS: Weakness(THE_SUPERVISOR, statuses=one_of(TIMEOUT, KILLED))},
    ),
    Program(
        name="supervisors_folder_closed",
        tries="closes the folder that its supervisor fetches files from",
        code="""
import os
def f(host):
    try: os.chmod(".", 0)
    except PermissionError: pass
    return 1
""",
        value=1,
        output_files=("file", "folder/file"),
    ),
    Program(
        name="supervisor_limited",
        tries="leaves its supervisor no descriptor to work with",
        code="""
import os, resource
def f(host):
    try: resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (0, 0))
    except PermissionError: return "refused"
    return "done"
""",
        value="refused",
        weaker={PROCESS: Weakness(THE_SUPERVISOR, statuses=one_of(KILLED))},
    ),
    Program(
        name="supervisor_starved",
        tries="leaves its supervisor only the time that nobody else wants, and wants all of it",
        code="""
import os
def f(host):
    for starve in (
        lambda: os.sched_setscheduler(os.getppid(), os.SCHED_IDLE, os.sched_param(0)),
        lambda: os.setpriority(os.PRIO_PROCESS, os.getppid(), 19),
        lambda: os.setpriority(os.PRIO_PGRP, os.getpgid(0), 19),
    ):
        try: starve()
        except PermissionError: pass
    for _ in range(50):
        try: os.fork()
        except OSError: break
    while True: pass
""",
        statuses=one_of(TIMEOUT),
        answers=lambda response: response.total_seconds < 5,
        limits=BRIEF,
        levels=STRONG,
    ),
    Program(
        name="supervisors_watch_blinded",
        tries="has children end in the name of the one that is watched",
        code="""
import os, time
def f(host):
    if os.fork() == 0:
        if os.fork() == 0: os._exit(0)
        os._exit(0)
    os.wait()
    time.sleep(0.1)
    while True: pass
""",
        statuses=one_of(TIMEOUT),
        limits=BRIEF,
    ),
    Program(
        name="secret_found",
        tries="finds the secret of its messages in frames and in the garbage collector, and sends one",
        code=SECRETS + "\ndef f(host):\n    forge()\n    os._exit(0)\n",
        statuses=one_of(OK, ERROR),
        value=42,
        weaker=at_every_level(Weakness(ANY_VALUE, value=42)),
    ),
    Program(
        name="forged_then_endless",
        tries="forges a result and goes on for ever",
        code=SECRETS + "\ndef f(host):\n    forge()\n    while True: pass\n",
        statuses=one_of(TIMEOUT),
        limits=BRIEF,
        answers=lambda response: not response.HasField("result"),
    ),
    Program(
        name="forged_then_exit",
        tries="forges a result and exits with 3",
        code=SECRETS + "\ndef f(host):\n    forge()\n    os._exit(3)\n",
        statuses=one_of(ERROR),
        answers=lambda response: response.exit_code == 3 and not response.HasField("result"),
    ),
    Program(
        name="forged_then_crashed",
        tries="forges a result and crashes",
        code=SECRETS + "\nimport ctypes\ndef f(host):\n    forge()\n    ctypes.string_at(0)\n",
        statuses=one_of(KILLED),
        answers=lambda response: not response.HasField("result"),
    ),
    Program(
        name="forged_then_out_of_memory",
        tries="forges a result and runs out of memory",
        code=SECRETS + "\ndef f(host):\n    forge()\n    held = []\n    while True: held.append(bytearray(1000000))\n",
        statuses=one_of(OOM),
        answers=lambda response: not response.HasField("result"),
        # Where no control group counts, that memory ran out is the interpreter's own word.
        weaker={PROCESS: Weakness(ANY_ERROR, statuses=one_of(OOM, ERROR))},
    ),
    Program(
        name="forged_then_flooded",
        tries="forges a result and prints without end",
        code=SECRETS + "\ndef f(host):\n    forge()\n    while True: print('x' * 1000)\n",
        statuses=one_of(OUTPUT_LIMIT),
        answers=lambda response: not response.HasField("result"),
    ),
    Program(
        name="forged_nonsense",
        tries="forges results that are none",
        code=SECRETS
        + """
def f(host):
    for value in (b'{"value": 1e999}', b'{"value": ' + b"[" * 50000, b"\\xff\\xfe", b'{"status": "OK"}', b'{"value": NaN}'):
        forge(value)
    os._exit(0)
""",
        statuses=one_of(ERROR, OUTPUT_LIMIT),
        answers=lambda response: not response.HasField("result"),
    ),
    Program(
        name="forged_by_a_fork",
        tries="has a fork forge the result, and exits with 1 itself",
        code=SECRETS
        + """
def f(host):
    child = os.fork()
    if child == 0: forge(); os._exit(0)
    os.waitpid(child, 0)
    os._exit(1)
""",
        statuses=one_of(ERROR),
        answers=lambda response: response.exit_code == 1,
    ),
    Program(
        name="fork_returns_too",
        tries="returns twice, from two processes",
        code="""
import os
def f(host):
    child = os.fork()
    if child: os.waitpid(child, 0)
    return 1 if child else 42
""",
        value=1,
    ),
    Program(
        name="fork_returns_instead",
        tries="has its fork return, and ends before it",
        code="""
import os, time
def f(host):
    if os.fork(): os._exit(0)
    time.sleep(0.1)
    return 42
""",
        statuses=one_of(ERROR),
        answers=lambda response: not response.HasField("result"),
    ),
    Program(
        name="builtins_patched",
        tries="patches what the runner may use: json, builtins, posix, the types' own methods",
        code="""
import builtins, json, os, posix, sys
def f(host):
    json.dumps = json.JSONEncoder.encode = lambda *_, **__: "42"
    for name in ("isinstance", "str", "int", "repr", "type", "len", "print", "getattr", "hasattr", "iter"):
        setattr(builtins, name, lambda *_, **__: 42)
    for name in ("write", "_exit", "getpid", "close", "kill", "waitpid"):
        setattr(os, name, lambda *_, **__: 42)
    return 1
""",
        statuses=one_of(OK, ERROR),
        value=lambda value: value in (1, 42),
    ),
    Program(
        name="runner_patched",
        tries="patches the runner's own functions, and its way to end",
        code="""
import posix, sys
def f(host):
    for name, module in list(sys.modules.items()):
        if "child" in name or "inside" in name or "supervisor" in name:
            for each, thing in list(vars(module).items()):
                if callable(thing) and "json" in each: setattr(module, each, lambda *_: '42')
    return 1
""",
        statuses=one_of(OK, ERROR),
        value=lambda value: value in (1, 42),
        weaker=at_every_level(Weakness(ANY_VALUE, value=lambda value: value in (1, 42))),
    ),
    Program(
        name="runner_does_not_end",
        tries="keeps its process from ending, so that it goes on as the supervisor's copy",
        code="""
import posix
def f(host):
    posix._exit = lambda code: None
    return 1
""",
        statuses=one_of(OK, ERROR, KILLED),
        value=1,
    ),
    Program(
        name="tracing",
        tries="traces the runner's frames and changes what they hold",
        code="""
import ctypes, sys
def f(host):
    frame = sys._getframe().f_back
    while frame:
        for name in list(frame.f_locals):
            if name in ("timeout_s", "exit_code", "status", "message", "limits", "output_bytes"):
                frame.f_locals[name] = 0
                ctypes.pythonapi.PyFrame_LocalsToFast(ctypes.py_object(frame), 0)
        frame = frame.f_back
    sys.settrace(lambda *_: None); sys.setprofile(lambda *_: None)
    return 1
""",
        statuses=one_of(OK, ERROR),
        value=1,
    ),
    Program(
        name="output_made_the_message",
        tries="makes its stdout the channel of its result",
        code=FAKES
        + """
def f(host):
    for number in (3, 4):
        try: os.dup2(number, 1)
        except OSError: pass
    for frame in frames(): os.write(1, frame)
    return 1
""",
        statuses=one_of(OK, ERROR),
        value=1,
    ),
    Program(
        name="message_flooded",
        tries="floods the channel of its result",
        code="""
import os
def f(host):
    while True:
        for number in (3, 4):
            try: os.write(number, b"x" * 65536)
            except OSError: pass
""",
        statuses=one_of(OUTPUT_LIMIT),
        limits=BRIEF,
    ),
    Program(
        name="clock_patched",
        tries="patches the clock, that its time be short",
        code="""
import time
def f(host):
    wait = time.sleep
    time.monotonic = time.time = time.perf_counter = lambda: 0.0
    time.sleep = lambda seconds: None
    wait(0.5)
    return 1
""",
        value=1,
        answers=lambda response: response.duration_seconds >= 0.5,
    ),
    Program(
        name="memory_given_back",
        tries="hides how much memory it held by giving it back",
        code="""
def f(host):
    held = bytearray(b"x") * 60_000_000
    del held
    return 1
""",
        value=1,
        answers=lambda response: response.peak_memory_bytes > 57 * MIB,
    ),
    Program(
        name="exit_for_success",
        tries="leaves a call by SystemExit(0), as if it had a result",
        code="def f(host): raise SystemExit(0)",
        statuses=one_of(ERROR),
        answers=lambda response: not response.HasField("result"),
    ),
    Program(
        name="exit_with_a_code_that_lies",
        tries="leaves by a SystemExit whose code is another each time it is read",
        code="""
class Exit(SystemExit):
    codes = iter([None, 0, 0, 0, 0, 7])
    @property
    def code(self): return next(self.codes, 0)
def f(host): raise Exit()
""",
        statuses=one_of(ERROR),
        answers=lambda response: not response.HasField("result"),
    ),
    Program(
        name="exit_with_a_huge_code",
        tries="exits with a code that is 0 in its lowest byte",
        code="def f(host): raise SystemExit(2**70)",
        statuses=one_of(ERROR),
    ),
    Program(
        name="exception_that_hangs",
        tries="raises what never tells its message",
        code="""
class Silent(Exception):
    def __str__(self):
        while True: pass
def f(host): raise Silent
""",
        statuses=one_of(TIMEOUT),
        limits=BRIEF,
    ),
    Program(
        name="exception_of_a_forged_type",
        tries="raises what passes for another error, with an endless message",
        code="""
class Meta(type):
    __name__ = property(lambda self: "x" * 10**7)
class Error(BaseException, metaclass=Meta):
    def __str__(self): return "y" * 10**7
def f(host): raise Error
""",
        statuses=one_of(ERROR, OUTPUT_LIMIT),
        answers=lambda response: len(response.error.message) <= 100_000 and len(response.error.type) <= 100_000,
    ),
    Program(
        name="exceptions_without_end",
        tries="raises in what describes what was raised",
        code="""
class Error(Exception):
    def __str__(self): raise Error
    __repr__ = __str__
def f(host):
    try: raise Error
    except Error as error: raise ExceptionGroup("many", [error] * 1000) from error
""",
        statuses=one_of(ERROR),
    ),
    Program(
        name="exit_of_every_kind",
        tries="raises what ends interpreters: KeyboardInterrupt, GeneratorExit, a bare BaseException",
        code="""
def f(host):
    def inner():
        try: yield
        finally: raise KeyboardInterrupt
    try: list(inner())
    except KeyboardInterrupt: raise GeneratorExit
""",
        statuses=one_of(ERROR),
        answers=lambda response: response.error.type == "GeneratorExit",
    ),
    Program(
        name="out_of_memory_claimed",
        tries="claims that it ran out of memory",
        code="def f(host): raise MemoryError",
        statuses=one_of(OOM, ERROR),
        weaker=at_every_level(Weakness(ANY_ERROR, statuses=one_of(OOM, ERROR))),
    ),
    Program(
        name="level_claimed",
        tries="says that it ran at another level, for another tenant, in no time",
        code="""
def f(host): return {"status": "EXECUTION_STATUS_OK", "isolation": 4, "duration_seconds": 0, "stdout": "", "error": None}
""",
        value=lambda value: isinstance(value, dict) and value["isolation"] == 4,
    ),
]
