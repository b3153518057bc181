"""Programs that take all there is: processes, memory, disk, descriptors, output, time."""

# ruff: noqa: E501 (programs are texts, easier seen on one line)

from autodev_sandbox.execution import MIB
from tests.security.program import (
    BRIEF,
    ERROR,
    KILLED,
    OK,
    OOM,
    OUTPUT_LIMIT,
    PROCESS,
    TIMEOUT,
    Limits,
    Program,
    Weakness,
    at_most,
    more_than,
    one_of,
)

MANY_PROCESSES = "start as many processes and threads as the service's user may have"
SUM_OF_MEMORY = "hold more memory than its limit, by several processes"
ALL_CORES = "use every core"
ALL_THE_DISK = "fill the disk, with as many files as it takes"

PROGRAMS = [
    Program(
        name="fork_bomb",
        tries="has children until none can be had",
        code="""
import os, time
def f(host):
    for count in range(50 if host["bounded"] else 10**6):
        try:
            if os.fork() == 0:
                while True: time.sleep(1)
        except BlockingIOError:
            return count
    return "all"
""",
        value=at_most(64),
        weaker={PROCESS: Weakness(MANY_PROCESSES, value="all")},
    ),
    Program(
        name="fork_bomb_of_children",
        tries="has children that have children, and never ends",
        code="""
import os, time
def f(host):
    for _ in range(5 if host["bounded"] else 10**6):
        try: os.fork()
        except BlockingIOError: pass
    while True: time.sleep(1)
""",
        statuses=one_of(TIMEOUT),
        limits=BRIEF,
    ),
    Program(
        name="fork_chase",
        tries="is always a younger process than the one that is being killed",
        code="""
import os
def f(host):
    if os.fork() == 0:
        for _ in range(300 if host["bounded"] else 10**9):
            try:
                if os.fork(): os._exit(0)
            except BlockingIOError: pass
        os._exit(0)
    return 1
""",
        value=1,
    ),
    Program(
        name="zombies",
        tries="never waits for its children",
        code="""
import os
def f(host):
    for _ in range(40):
        if os.fork() == 0: os._exit(0)
    return 40
""",
        value=40,
    ),
    Program(
        name="thread_bomb",
        tries="starts threads until none can be had",
        code="""
import threading, time
def f(host):
    for count in range(150 if host["bounded"] else 10**6):
        try: threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
        except RuntimeError: return count
    return "all"
""",
        value=at_most(64),
        limits=Limits(memory_bytes=512 * MIB),
        # Each thread's stack counts as address space, which is what bounds it there.
        weaker={PROCESS: Weakness(MANY_PROCESSES, value=lambda count: count == "all" or more_than(10)(count))},
    ),
    Program(
        name="memory_bomb",
        tries="fills memory",
        code="""
def f(host):
    held = []
    while True: held.append(bytearray(1000000))
""",
        statuses=one_of(OOM),
    ),
    Program(
        name="memory_by_one_list",
        tries="doubles a list",
        code="""
def f(host):
    held = [0]
    while True: held += held
""",
        statuses=one_of(OOM),
    ),
    Program(
        name="memory_mapped",
        tries="maps more than there is, and touches it page by page",
        code="""
import mmap
def f(host):
    area = mmap.mmap(-1, 2**34)
    for place in range(0, 2**34, 4096): area[place] = 1
""",
        # Where address space is what is limited, the mapping itself is refused.
        statuses=one_of(OOM, ERROR),
    ),
    Program(
        name="memory_by_children",
        tries="fills memory by four processes, none of which holds too much",
        code="""
import os
def f(host):
    children = []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            try: held = bytearray(b"x") * 60_000_000
            except MemoryError: os._exit(1)
            os.kill(os.getpid(), 19)
            os._exit(0)
        children.append(child)
    ended = [os.waitpid(child, os.WUNTRACED)[1] for child in children]
    return sum(os.WIFSTOPPED(status) and os.waitpid(child, os.WNOHANG)[0] == 0 for child, status in zip(children, ended))
""",
        statuses=one_of(OK, OOM),
        value=at_most(2),
        weaker={PROCESS: Weakness(SUM_OF_MEMORY, value=4)},
    ),
    Program(
        name="memory_of_pipes",
        tries="fills the kernel's memory by pipes that nobody reads",
        code="""
import fcntl, os
def f(host):
    count = 0
    try:
        while count < (8 if host["bounded"] else 120):
            reading, writing = os.pipe()
            os.set_blocking(writing, False)
            fcntl.fcntl(writing, 1031, 1 << 20)
            while True:
                try: os.write(writing, bytes(65536))
                except BlockingIOError: break
            count += 1
    except OSError: pass
    return count
""",
        statuses=one_of(OK, OOM, KILLED),
        value=at_most(120),
    ),
    Program(
        name="memory_of_sockets",
        tries="fills the kernel's memory by sockets that nobody reads",
        code="""
import socket
def f(host):
    held = []
    try:
        while len(held) < (8 if host["bounded"] else 120):
            pair = socket.socketpair()
            pair[0].setblocking(False)
            held.append(pair)
            while True:
                try: pair[0].send(bytes(65536))
                except BlockingIOError: break
    except OSError: pass
    return len(held)
""",
        statuses=one_of(OK, OOM, KILLED),
        value=at_most(120),
    ),
    Program(
        name="disk_bomb",
        tries="fills /tmp, by files that are allowed each",
        code="""
import os
def f(host):
    total = 0
    try:
        for number in range(5 if host["bounded"] else 10**6):
            with open(f"{number}", "wb") as file:
                os.posix_fallocate(file.fileno(), 0, 16 << 20)
                total += 16
    except OSError: return total
    return "all"
""",
        value=at_most(64),
        statuses=one_of(OK, OOM),
        weaker={PROCESS: Weakness(ALL_THE_DISK, value="all")},
    ),
    Program(
        name="one_huge_file",
        tries="writes one file without end",
        code="""
import os
def f(host):
    total = 0
    with open("huge", "wb") as file:
        try:
            while True:
                os.posix_fallocate(file.fileno(), total << 20, 4 << 20)
                total += 4
        except OSError: return total
""",
        value=at_most(64),
        statuses=one_of(OK, OOM, KILLED),
    ),
    Program(
        name="sparse_file",
        tries="makes a file of eight exabytes",
        code="""
import os
def f(host):
    try: os.truncate(os.open("sparse", os.O_CREAT | os.O_RDWR), 2**63 - 1)
    except OSError: return "refused"
    return os.stat("sparse").st_size
""",
        value="refused",
        statuses=one_of(OK, KILLED),
    ),
    Program(
        name="inode_bomb",
        tries="makes empty files without end",
        code="""
def f(host):
    for count in range(2000 if host["bounded"] else 10**9):
        try: open(str(count), "w").close()
        except OSError: return "refused"
    return "all"
""",
        limits=Limits(timeout_s=2.0, memory_bytes=64 * MIB),
        value="refused",
        statuses=one_of(OK, OOM, TIMEOUT),
        weaker={PROCESS: Weakness(ALL_THE_DISK, value="all", statuses=one_of(OK))},
    ),
    Program(
        name="folders_in_folders",
        tries="makes a path that a careless removal cannot walk",
        code="""
import os
def f(host):
    for depth in range(3000):
        try: os.mkdir("deep"); os.chdir("deep")
        except OSError: break
    open("end", "w").close()
    return 1
""",
        value=1,
    ),
    Program(
        name="descriptor_bomb",
        tries="opens files until none can be had",
        code="""
import os
def f(host):
    held = []
    try:
        while len(held) < 5000: held.append(os.open("/dev/null", os.O_RDONLY))
    except OSError: pass
    return len(held)
""",
        value=at_most(256),
    ),
    Program(
        name="flood_of_stdout",
        tries="prints without end",
        code="""
def f(host):
    while True: print("x" * 1000)
""",
        statuses=one_of(OUTPUT_LIMIT),
        answers=lambda response: len(response.stdout) <= 100_000,
    ),
    Program(
        name="flood_of_stderr",
        tries="complains without end, in one line",
        code="""
import os
def f(host):
    while True: os.write(2, b"x" * 65536)
""",
        statuses=one_of(OUTPUT_LIMIT),
        answers=lambda response: len(response.stderr) <= 100_000,
    ),
    Program(
        name="flood_by_children",
        tries="has its children print without end, and does nothing itself",
        code="""
import os, time
def f(host):
    for _ in range(4):
        if os.fork() == 0:
            while True: os.write(1, b"\\xff" * 4096)
    while True: time.sleep(1)
""",
        statuses=one_of(OUTPUT_LIMIT),
        answers=lambda response: len(response.stdout) <= 100_000,
    ),
    Program(
        name="flood_of_the_result",
        tries="gives back a hundred megabytes",
        code="""
def f(host): return "x" * 30_000_000
""",
        statuses=one_of(OUTPUT_LIMIT),
    ),
    Program(
        name="spin",
        tries="computes without end",
        code="""
def f(host):
    while True: pass
""",
        statuses=one_of(TIMEOUT),
        limits=BRIEF,
        answers=lambda response: response.duration_seconds < 2,
    ),
    Program(
        name="spin_within_c",
        tries="computes without end where Python looks at no signal",
        code="""
import re
def f(host): return re.match("(a+)+$", "a" * 60 + "b")
""",
        statuses=one_of(TIMEOUT),
        limits=BRIEF,
    ),
    Program(
        name="signals_ignored",
        tries="ignores every signal that can be ignored",
        code="""
import signal, time
def f(host):
    for number in range(1, 65):
        try: signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError): pass
    while True:
        try: time.sleep(9)
        except BaseException: pass
""",
        statuses=one_of(TIMEOUT),
        limits=BRIEF,
    ),
    Program(
        name="signals_blocked",
        tries="blocks every signal, in every thread",
        code="""
import signal, threading, time
def f(host):
    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
    for _ in range(3): threading.Thread(target=time.sleep, args=(60,)).start()
    time.sleep(60)
""",
        statuses=one_of(TIMEOUT),
        limits=BRIEF,
    ),
    Program(
        name="stopped",
        tries="stops itself, so that it neither runs nor ends",
        code="""
import os, signal
def f(host): os.kill(os.getpid(), signal.SIGSTOP)
""",
        statuses=one_of(TIMEOUT),
        limits=BRIEF,
    ),
    Program(
        name="main_thread_gone",
        tries="ends its main thread and goes on in another",
        code="""
import ctypes, threading, time
def f(host):
    threading.Thread(target=time.sleep, args=(60,)).start()
    ctypes.CDLL(None).syscall({"x86_64": 60, "aarch64": 93}[__import__("os").uname().machine], 0)
""",
        statuses=one_of(TIMEOUT),
        limits=BRIEF,
    ),
    Program(
        name="cores",
        tries="computes on every core with a tenth of one allowed",
        code="""
import os, time
def f(host):
    end = time.monotonic() + 1
    children = []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            while time.monotonic() < end: pass
            os._exit(0)
        children.append(child)
    return sum(sum(os.wait4(child, 0)[2][:2]) for child in children)
""",
        limits=Limits(timeout_s=20.0, cpus=0.1),
        value=at_most(0.2),
        weaker={PROCESS: Weakness(ALL_CORES, value=more_than(0.2))},
    ),
    Program(
        name="priority",
        tries="takes precedence of all others",
        code="""
import os
def f(host):
    got = []
    try: os.nice(-5); got.append("nice")
    except OSError: pass
    for policy in (os.SCHED_FIFO, os.SCHED_RR):
        try: os.sched_setscheduler(0, policy, os.sched_param(50)); got.append(policy)
        except OSError: pass
    return got
""",
        value=[],
    ),
    Program(
        name="limits_raised",
        tries="raises its own resource limits",
        code="""
import resource
def f(host):
    got = []
    for name in ("RLIMIT_CORE", "RLIMIT_NOFILE", "RLIMIT_FSIZE", "RLIMIT_RTPRIO"):
        hard = resource.getrlimit(getattr(resource, name, 14))[1]
        if hard == resource.RLIM_INFINITY: got.append(name + " is unlimited")
        else:
            try: resource.setrlimit(getattr(resource, name, 14), (hard + 1, hard + 1)); got.append(name)
            except (OSError, ValueError): pass
    return got
""",
        value=[],
    ),
]
