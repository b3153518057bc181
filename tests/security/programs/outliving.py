"""Programs whose processes are to go on when the execution has ended."""

from tests.security.program import PROCESS, Program, Trace, Weakness

A_SESSION_OF_ITS_OWN = "leave a process behind, by putting it into a session or process group of its own"
OUTLIVES = {PROCESS: Weakness(A_SESSION_OF_ITS_OWN, value=1, leaves=frozenset({Trace.PROCESS}))}

# The name by which a process is found from outside, in whatever namespace it is.
MARK = """
import ctypes, os, signal, time
def mark(host): ctypes.CDLL(None).prctl(15, host["mark"].encode(), 0, 0, 0)
"""

PROGRAMS = [
    Program(
        name="child_left_running",
        tries="returns while its child goes on",
        code=MARK
        + """
def f(host):
    mark(host)
    if os.fork() == 0:
        while True: time.sleep(1)
    return 1
""",
        value=1,
    ),
    Program(
        name="daemon_by_setsid",
        tries="leaves a child in a session of its own",
        code=MARK
        + """
def f(host):
    mark(host)
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.setsid()
        os.write(writing, b"x")
        while True: time.sleep(1)
    os.read(reading, 1)
    return 1
""",
        value=1,
        weaker=OUTLIVES,
    ),
    Program(
        name="daemon_by_two_forks",
        tries="is a daemon of the book: two forks, a session, no descriptors, no signal listened to",
        code=MARK
        + """
def f(host):
    mark(host)
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork(): os._exit(0)
        for number in range(1, 65):
            try: signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError): pass
        os.write(writing, b"x")
        os.closerange(0, 256)
        os.chdir("/")
        while True: time.sleep(1)
    os.read(reading, 1)
    os.wait()
    return 1
""",
        value=1,
        weaker=OUTLIVES,
    ),
    Program(
        name="daemon_by_process_group",
        tries="leaves a child in a process group of its own",
        code=MARK
        + """
def f(host):
    mark(host)
    child = os.fork()
    if child == 0:
        while True: time.sleep(1)
    os.setpgid(child, child)
    return 1
""",
        value=1,
        weaker=OUTLIVES,
    ),
    Program(
        name="daemon_that_is_stopped",
        tries="leaves a child that is stopped and listens to nothing",
        code=MARK
        + """
def f(host):
    mark(host)
    child = os.fork()
    if child == 0:
        os.setsid()
        os.kill(os.getpid(), signal.SIGSTOP)
    os.waitpid(child, os.WUNTRACED)
    return 1
""",
        value=1,
        weaker=OUTLIVES,
    ),
    Program(
        name="daemon_that_holds_the_output",
        tries="keeps stdout open, so that a reader who waits for its end waits for ever",
        code=MARK
        + """
def f(host):
    mark(host)
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.setsid()
        os.write(writing, b"x")
        while True: os.write(1, b"."); time.sleep(0.1)
    os.read(reading, 1)
    return 1
""",
        value=1,
        answers=lambda response: response.total_seconds < 5,
        weaker=OUTLIVES,
    ),
    Program(
        name="daemon_that_listens",
        tries="leaves a server behind",
        code=MARK
        + """
import socket
def f(host):
    mark(host)
    server = socket.create_server(("0.0.0.0", host["free_port"]))
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.setsid()
        os.write(writing, b"x")
        server.accept()
    os.read(reading, 1)
    return 1
""",
        value=1,
        weaker={
            PROCESS: Weakness(A_SESSION_OF_ITS_OWN, value=1, leaves=frozenset({Trace.PROCESS, Trace.SOCKET})),
        },
    ),
    Program(
        name="program_left_running",
        tries="leaves another program running, which is no fork of its own",
        code=MARK
        + """
import subprocess, sys
def f(host):
    script = "import ctypes, time; ctypes.CDLL(None).prctl(15, %r, 0, 0, 0); print(1, flush=True); time.sleep(999)"
    child = subprocess.Popen(
        [sys.executable, "-S", "-c", script % host["mark"].encode()], start_new_session=True, stdout=subprocess.PIPE)
    child.stdout.read(1)
    return 1
""",
        value=1,
        weaker=OUTLIVES,
    ),
]
