"""Programs that look for what an earlier execution left: of the same tenant or another's, it must find nothing."""

# ruff: noqa: E501 (programs are texts, easier seen on one line)

from tests.security.program import PROCESS, STRONG, Program, Trace, Weakness

LEAVES = "leave something for a later execution: a file, a message queue, shared memory, a key, a name"


KEYCTL = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
ADD, SEARCH = {"x86_64": (248, 250), "aarch64": (217, 219)}[os.uname().machine]
"""

PROGRAMS = [
    Program(
        name="file_in_tmp",
        tries="leaves files in its folder and in /tmp",
        earlier="""
import os
def f(host):
    for folder in (".", "/tmp", "/var/tmp", "/dev/shm"):
        try: open(f"{folder}/{host['mark']}", "w").close()
        except OSError: pass
""",
        code="""
import os
def f(host):
    folders = (".", "/tmp", "/var/tmp", "/dev/shm")
    return [folder for folder in folders if os.path.exists(f"{folder}/{host['mark']}")] + os.listdir(".")
""",
        value=[],
        weaker={
            PROCESS: Weakness(LEAVES, value=["/tmp", "/var/tmp", "/dev/shm"], leaves=frozenset({Trace.FILE})),
        },
    ),
    Program(
        name="shared_memory",
        tries="leaves a segment of System V shared memory, filled",
        earlier="""
import ctypes
def f(host):
    libc = ctypes.CDLL(None)
    libc.shmat.restype = ctypes.c_void_p
    segment = libc.shmget(0x0BADCAFE, 8 << 20, 0o1600)
    ctypes.memset(libc.shmat(segment, None, 0), 1, 8 << 20)
""",
        code="""
import ctypes
def f(host): return "found" if ctypes.CDLL(None).shmget(0x0BADCAFE, 0, 0) >= 0 else "nothing"
""",
        value="nothing",
        weaker={PROCESS: Weakness(LEAVES, value="found", leaves=frozenset({Trace.IPC}))},
    ),
    Program(
        name="semaphores_and_messages",
        tries="leaves System V semaphores and a queue with a message",
        earlier="""
import ctypes
def f(host):
    libc = ctypes.CDLL(None)
    libc.semget(0x0BADCAFE, 4, 0o1600)
    libc.msgsnd(libc.msgget(0x0BADCAFE, 0o1600), (ctypes.c_long * 9)(1), 64, 0)
""",
        code="""
import ctypes
def f(host):
    libc = ctypes.CDLL(None)
    return "found" if libc.semget(0x0BADCAFE, 0, 0) >= 0 or libc.msgget(0x0BADCAFE, 0) >= 0 else "nothing"
""",
        value="nothing",
        weaker={PROCESS: Weakness(LEAVES, value="found", leaves=frozenset({Trace.IPC}))},
    ),
    Program(
        name="message_queue",
        tries="leaves a POSIX message queue",
        earlier="""
import ctypes, os
def f(host): ctypes.CDLL(None).mq_open(f"/{host['mark']}".encode(), os.O_CREAT | os.O_RDWR, 0o600, None)
""",
        code="""
import ctypes, os
def f(host): return "found" if ctypes.CDLL(None).mq_open(f"/{host['mark']}".encode(), os.O_RDONLY) >= 0 else "nothing"
""",
        value="nothing",
        weaker={PROCESS: Weakness(LEAVES, value="found", leaves=frozenset({Trace.QUEUE}))},
    ),
    Program(
        name="key_in_the_kernel",
        tries="leaves a key in the key ring of its user",
        earlier=KEYCTL + 'def f(host): libc.syscall(ADD, b"user", host["mark"].encode(), b"x", 1, -4)\n',
        code=KEYCTL
        + """
def f(host):
    return "found" if libc.syscall(SEARCH, 10, -4, b"user", host["mark"].encode(), 0) >= 0 else "nothing"
""",
        value="nothing",
        weaker={PROCESS: Weakness(LEAVES, value="found", leaves=frozenset({Trace.KEY}))},
    ),
    Program(
        name="name_of_a_socket",
        tries="leaves a process that holds a socket's name",
        earlier="""
import ctypes, os, socket, time
def f(host):
    ctypes.CDLL(None).prctl(15, host["mark"].encode(), 0, 0, 0)
    server = socket.socket(socket.AF_UNIX)
    server.bind("\\0" + host["mark"])
    server.listen()
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.setsid()
        os.write(writing, b"x")
        while True: time.sleep(1)
    os.read(reading, 1)
""",
        code="""
import socket
def f(host): return "found" if socket.socket(socket.AF_UNIX).connect_ex("\\0" + host["mark"]) == 0 else "nothing"
""",
        value="nothing",
        weaker={
            PROCESS: Weakness(LEAVES, value="found", leaves=frozenset({Trace.PROCESS, Trace.SOCKET})),
        },
    ),
    Program(
        name="server_on_a_port",
        tries="leaves a server on a port",
        earlier="""
import ctypes, os, socket, time
def f(host):
    ctypes.CDLL(None).prctl(15, host["mark"].encode(), 0, 0, 0)
    server = socket.create_server(("127.0.0.1", host["free_port"]))
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.setsid()
        os.write(writing, b"x")
        while True: time.sleep(1)
    os.read(reading, 1)
""",
        code="""
import socket
def f(host):
    asking = socket.socket()
    asking.settimeout(0.5)
    return "found" if asking.connect_ex(("127.0.0.1", host["free_port"])) == 0 else "nothing"
""",
        value="nothing",
        weaker={
            PROCESS: Weakness(LEAVES, value="found", leaves=frozenset({Trace.PROCESS, Trace.SOCKET})),
        },
    ),
    Program(
        name="environment_of_an_earlier_one",
        tries="leaves variables of the environment",
        earlier='import os\ndef f(host): os.environ["LEFT"] = "1"; os.putenv("LEFT", "1")\n',
        code="""
import ctypes, os
def f(host):
    libc = ctypes.CDLL(None)
    libc.getenv.restype = ctypes.c_char_p
    return [dict(os.environ), libc.getenv(b"LEFT")]
""",
        value=[{}, None],
    ),
    Program(
        name="modules_of_an_earlier_one",
        tries="leaves modules and builtins that are changed",
        earlier="""
import builtins, json, os, sys
def f(host):
    builtins.left = json.left = os.left = sys.left = 1
    sys.modules["left"] = json
    json.dumps = lambda value: "forged"
    sys.path.insert(0, "/tmp")
""",
        code="""
import builtins, json, os, sys
def f(host):
    changed = [name for name, thing in (("b", builtins), ("j", json), ("o", os), ("s", sys)) if hasattr(thing, "left")]
    return [changed, "left" in sys.modules, json.dumps(1), "/tmp" in sys.path]
""",
        value=[[], False, "1", False],
    ),
    Program(
        name="settings_of_an_earlier_process",
        tries="leaves its mask, limits, niceness, handlers and recursion as no other wants them",
        earlier="""
import os, resource, signal, sys
def f(host):
    os.umask(0o777); os.nice(10)
    resource.setrlimit(resource.RLIMIT_NOFILE, (8, 8))
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    sys.setrecursionlimit(100)
""",
        code="""
import os, resource, signal, sys
def f(host):
    mask = os.umask(0o022)
    return [mask != 0o777, os.nice(0), resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 8,
            signal.getsignal(signal.SIGTERM) == signal.SIG_DFL, len(signal.pthread_sigmask(signal.SIG_BLOCK, [])), sys.getrecursionlimit()]
""",
        value=[True, 0, True, True, 0, 1000],
    ),
    Program(
        name="process_of_an_earlier_one",
        tries="leaves a process that waits for the next execution, to kill it",
        earlier="""
import ctypes, os, signal, time
def f(host):
    ctypes.CDLL(None).prctl(15, host["mark"].encode(), 0, 0, 0)
    if os.fork() == 0:
        os.setsid()
        for _ in range(200):
            for process in range(2, 0 if host["bounded"] else 100):
                if process != os.getpid():
                    try: os.kill(process, signal.SIGKILL)
                    except OSError: pass
            time.sleep(0.01)
""",
        code="""
import time
def f(host):
    time.sleep(0.3)
    return 1
""",
        value=1,
        # There such a process lives: see `outliving`. Killing at random is not for a machine that others use.
        levels=STRONG,
    ),
]
