"""Programs that look for the machine's files, processes, environment and devices, or spoil what others trust."""

# ruff: noqa: E501 (programs are texts, easier seen on one line)

from tests.security.program import (
    CONTAINER,
    PROCESS,
    STRONG,
    Expected,
    Limits,
    Program,
    Trace,
    Weakness,
    more_than,
)

USERS_FILES = "read and write whatever the service's user may: files, devices, kernel settings"
USERS_PROCESSES = "see the machine's processes, and end or read those of the service's user, the service too"
OTHER_PROGRAMS = "run other programs: those of the machine, and those it wrote itself"
ABOUT_THE_MACHINE = "read what the kernel tells about the machine in /proc and /sys: processors, memory, load, modules"

PROGRAMS = [
    Program(
        name="secret_file",
        tries="reads a file of the service's user by its path",
        code="""
def f(host):
    try: return len(open(host["secret"]).read())
    except OSError: return 0
""",
        value=0,
        weaker={PROCESS: Weakness(USERS_FILES, value=32)},
    ),
    Program(
        name="secret_file_by_links",
        tries="reads it through links and roots of other processes",
        code="""
import os
def f(host):
    got = []
    os.symlink(host["secret"], "link")
    os.symlink("/proc/1/root", "root")
    try: os.link(host["secret"], "hard")
    except OSError: pass
    paths = ["link", "hard", "root" + host["secret"], f"/proc/{os.getppid()}/root" + host["secret"],
             f"/proc/{host['service']}/root" + host["secret"], f"/proc/{host['service']}/cwd/secret",
             "/.." * 30 + host["secret"], "/proc/self/root" + host["secret"]]
    for path in paths:
        try: got.append(len(open(path).read()))
        except OSError: pass
    return len(got)
""",
        value=0,
        weaker={PROCESS: Weakness(USERS_FILES, value=lambda got: got != 0)},
    ),
    Program(
        name="root_left",
        tries="climbs out of its root by descriptors and working directories",
        code="""
import os
def f(host):
    top = os.open("/", os.O_RDONLY)
    os.mkdir("inner")
    try: os.chroot("inner")
    except OSError: pass
    os.fchdir(top)
    for _ in range(50): os.chdir("..")
    return os.path.exists("." + host["secret"])
""",
        value=False,
        weaker={PROCESS: Weakness(USERS_FILES, value=True)},
    ),
    Program(
        name="files_of_the_machine",
        tries="looks for what is in every machine's root",
        code="""
import os
def f(host):
    paths = ["/etc/shadow", "/etc/hostname", "/root", "/home", "/var", "/bin/sh", "/usr/bin/env", "/boot", "/opt", "/srv",
             "/lib/systemd", "/etc/ssl", "/run/docker.sock", "/var/run/docker.sock", host["secret"], host["victim"]]
    return [path for path in paths if os.path.exists(path) and not (os.path.isfile(path) and not os.path.getsize(path))]
""",
        # An engine puts its own /etc/hostname into a container.
        value=lambda paths: paths in ([], ["/etc/hostname"]),
        weaker={PROCESS: Weakness(USERS_FILES, value=Expected.AS_OUTSIDE)},
    ),
    Program(
        name="service_in_the_root",
        tries="looks through its whole root for what the service is made of",
        code="""
import os
def f(host):
    found = []
    for folder, folders, files in os.walk(os.path.dirname(os.__file__) if host["bounded"] else "/"):
        if folder in ("/proc", "/sys"): folders.clear()
        found += [name for name in (*folders, *files) if name in ("site-packages", "autodev_sandbox", "grpc", "bash", "pip")]
    return found
""",
        value=[],
        weaker={PROCESS: Weakness(USERS_FILES, value=Expected.AS_OUTSIDE)},
    ),
    Program(
        name="root_written",
        tries="writes into every folder there is but /tmp",
        code="""
import os
def f(host):
    written = []
    folders = ["/", "/usr/bin", "/usr/lib", "/etc", "/var/tmp", "/dev/shm", "/run", os.path.dirname(os.__file__)]
    if not host["bounded"]: folders += [folder for folder, _, _ in os.walk("/") if not folder.startswith(("/tmp", "/proc", "/dev/mqueue"))]
    for folder in dict.fromkeys(folders):
        try:
            os.close(os.open(f"{folder}/{host['mark']}", os.O_CREAT | os.O_WRONLY, 0o600))
            os.unlink(f"{folder}/{host['mark']}")
            written.append(folder)
        except OSError: pass
    return written
""",
        # An engine mounts message queues, which live and die with the container: see `message_queue`.
        value=[],
        limits=Limits(timeout_s=10.0),
        weaker={PROCESS: Weakness(USERS_FILES, value=Expected.AS_OUTSIDE)},
    ),
    Program(
        name="library_spoiled",
        tries="changes, replaces and removes what the next execution would import",
        code="""
import os, json
def f(host):
    changed, module = [], json.__file__
    attempts = {
        "write": lambda: open(module, "r+").close(),
        "mode": lambda: os.chmod(module, 0o777),
        "times": lambda: os.utime(module),
        "rename": lambda: os.rename(module, module + ".gone"),
        "owner": lambda: os.chown(module, os.getuid(), os.getgid()),
        "attribute": lambda: os.setxattr(module, "user.x", b"x"),
    }
    if host["bounded"]: del attempts["rename"]
    for name, attempt in attempts.items():
        try: attempt(); changed.append(name)
        except OSError: pass
    return changed
""",
        value=[],
        weaker={PROCESS: Weakness(USERS_FILES, value=Expected.AS_OUTSIDE)},
    ),
    Program(
        name="program_written",
        tries="writes a program to /tmp and runs it",
        code="""
import os, shutil, subprocess, sys
def f(host):
    shutil.copyfile(sys.executable, "python")
    try: os.chmod("python", 0o755)
    except OSError: pass
    try: return subprocess.run(["./python", "-S", "-c", ""]).returncode
    except OSError: return "refused"
""",
        value="refused",
        weaker={PROCESS: Weakness(OTHER_PROGRAMS, value=lambda code: code != "refused")},
    ),
    Program(
        name="library_written",
        tries="writes a library to /tmp and loads it",
        code="""
import ctypes, shutil
def f(host):
    maps = [line.split()[-1] for line in open("/proc/self/maps") if "libm" in line] if host["bounded"] else []
    shutil.copyfile((maps or ["/usr/lib/libm.so.6"])[0], "evil.so")
    try: ctypes.CDLL("./evil.so")
    except OSError: return "refused"
    return "loaded"
""",
        # Only where the file system itself is noexec: without that, what code it is made of it can have anyway.
        value="refused",
        weaker={
            PROCESS: Weakness(OTHER_PROGRAMS, value="loaded"),
        },
    ),
    Program(
        name="program_in_memory",
        tries="runs a program from memory, which has no file system to forbid it",
        code="""
import ctypes, os, sys
def f(host):
    try: memory = os.memfd_create("x", 0)
    except OSError: return "refused"
    os.write(memory, open(sys.executable, "rb").read(1))
    return "made"
""",
        value="refused",
        weaker={PROCESS: Weakness(OTHER_PROGRAMS, value="made")},
    ),
    Program(
        name="shell",
        tries="runs a shell, and what else machines have in /bin",
        code="""
import os, shutil
def f(host):
    found = [name for name in ("sh", "bash", "busybox", "env", "perl", "nsenter", "unshare", "docker") if shutil.which(name)]
    return [found, os.system("true")]
""",
        value=lambda got: isinstance(got, list) and got[0] == [] and got[1] != 0,
        weaker={PROCESS: Weakness(OTHER_PROGRAMS, value=Expected.AS_OUTSIDE)},
    ),
    Program(
        name="set_user_programs",
        tries="looks for programs that run as root, and makes one",
        code="""
import os, stat
def f(host):
    found = []
    for folder in ("/usr/bin", "/usr/sbin", "/usr/lib", "/bin"):
        for entry in os.scandir(folder) if os.path.isdir(folder) else ():
            try:
                if entry.stat().st_mode & (stat.S_ISUID | stat.S_ISGID) and entry.is_file(): found.append(entry.name)
            except OSError: pass
    return sorted(set(found))
""",
        value=[],
        weaker={PROCESS: Weakness(OTHER_PROGRAMS, value=Expected.AS_OUTSIDE)},
    ),
    Program(
        name="environment",
        tries="reads the environment: its own, C's, its parent's, the service's",
        code="""
import ctypes, os
def f(host):
    found = dict(os.environ)
    ctypes.CDLL(None).getenv.restype = ctypes.c_char_p
    if ctypes.CDLL(None).getenv(b"AUTODEV_BATTERY_SECRET"): found["C"] = 1
    for process in ("self", os.getppid(), host["service"]):
        try: text = open(f"/proc/{process}/environ").read()
        except OSError: continue
        if "AUTODEV_BATTERY_SECRET" in text: found[str(process == host["service"])] = 1
    return found
""",
        value={},
        weaker={PROCESS: Weakness(USERS_PROCESSES, value={"True": 1})},
    ),
    Program(
        name="other_processes",
        tries="looks for processes of the machine",
        code="""
import os
def f(host):
    found = []
    for process in (host["service"], host["test"]):
        try: os.kill(process, 0); found.append("signal")
        except ProcessLookupError: pass
        except PermissionError: found.append("seen")
        try: open(f"/proc/{process}/cmdline").read(); found.append("command line")
        except OSError: pass
    return found
""",
        value=[],
        weaker={PROCESS: Weakness(USERS_PROCESSES, value=lambda found: isinstance(found, list) and "signal" in found)},
    ),
    Program(
        name="processes_listed",
        tries="lists all processes it can see",
        code="""
import os
def f(host):
    try: seen = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError: seen = []
    return len([process for process in seen if process not in (1, os.getpid())])
""",
        value=0,
        weaker={PROCESS: Weakness(USERS_PROCESSES, value=more_than(0))},
    ),
    Program(
        name="every_process_signalled",
        tries="kills all it may",
        code="""
import os, signal, time
def f(host):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try: os.kill(-1, signal.SIGTERM)
    except ProcessLookupError: pass
    for process in range(2, 40000):
        if process != os.getpid():
            try: os.kill(process, signal.SIGKILL)
            except ProcessLookupError: pass
    return 1
""",
        value=1,
        # There it would end the service, and whatever else its user runs: see `other_processes`.
        levels=STRONG,
    ),
    Program(
        name="device_made",
        tries="makes devices: the machine's memory and disk",
        code="""
import os, stat
def f(host):
    made = []
    for kind, major, minor in ((stat.S_IFCHR, 1, 1), (stat.S_IFBLK, 8, 0), (stat.S_IFBLK, 254, 0), (stat.S_IFCHR, 10, 232)):
        try: os.mknod(f"{major}-{minor}", kind | 0o600, os.makedev(major, minor)); made.append(major)
        except OSError: pass
    return made
""",
        value=[],
    ),
    Program(
        name="devices",
        tries="opens every device but those that every program needs",
        code="""
import os
def f(host):
    opened = []
    harmless = {"null", "zero", "full", "random", "urandom", "tty", "ptmx"}
    for folder, folders, files in os.walk("/dev"):
        folders[:] = [name for name in folders if name not in ("fd", "shm", "mqueue")]
        for name in files:
            if name in harmless or name in ("stdin", "stdout", "stderr"): continue
            try: os.close(os.open(f"{folder}/{name}", os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)); opened.append(name)
            except OSError: pass
    return sorted(opened)
""",
        value=[],
        weaker={PROCESS: Weakness(USERS_FILES, value=Expected.AS_OUTSIDE)},
    ),
    Program(
        name="terminal",
        tries="types into the terminal that the service was started from",
        code="""
import fcntl, os
def f(host):
    typed = []
    for number in range(3):
        try: fcntl.ioctl(number, 0x5412, b"x"); typed.append(number)
        except OSError: pass
    try: os.close(os.open("/dev/tty", os.O_RDWR)); typed.append("tty")
    except OSError: pass
    return typed
""",
        value=[],
    ),
    Program(
        name="sys_written",
        tries="opens every file of /sys for writing",
        code="""
import os
def f(host):
    opened = []
    for count, (folder, folders, files) in enumerate(os.walk("/sys")):
        for name in files:
            try: os.close(os.open(f"{folder}/{name}", os.O_WRONLY | os.O_NONBLOCK)); opened.append(f"{folder}/{name}")
            except OSError: pass
        if count > 3000: break
    return sorted(opened)
""",
        value=[],
        limits=Limits(timeout_s=20.0),
        weaker={PROCESS: Weakness(USERS_FILES, value=Expected.AS_OUTSIDE)},
    ),
    Program(
        name="kernel_settings",
        tries="opens the kernel's settings for writing",
        code="""
import os
def f(host):
    opened = []
    for name in ("sys/kernel/core_pattern", "sys/kernel/modprobe", "sysrq-trigger", "sys/vm/drop_caches", "sys/net/ipv4/ip_forward",
                 "sys/kernel/ns_last_pid", "sys/fs/binfmt_misc/register", "irq/0/smp_affinity", "kcore", "kmem", "1/mem"):
        try: os.close(os.open("/proc/" + name, os.O_WRONLY)); opened.append(name)
        except OSError: pass
    return opened
""",
        value=[],
        weaker={PROCESS: Weakness(USERS_FILES, value=Expected.AS_OUTSIDE)},
    ),
    Program(
        name="kernel_told",
        tries="reads what the kernel tells about the machine",
        code="""
import os
def f(host):
    told = []
    for name in ("/proc/meminfo", "/proc/cpuinfo", "/proc/loadavg", "/proc/cmdline", "/proc/kallsyms", "/sys/kernel/btf/vmlinux"):
        try:
            if open(name, "rb").read(100): told.append(name)
        except OSError: pass
    return told
""",
        value=[],
        weaker={
            CONTAINER: Weakness(
                ABOUT_THE_MACHINE, value=lambda told: isinstance(told, list) and "/proc/meminfo" in told
            ),
            PROCESS: Weakness(ABOUT_THE_MACHINE, value=Expected.AS_OUTSIDE),
        },
    ),
    Program(
        name="last_to_be_killed",
        tries="has the kernel spare it when memory runs out",
        code="""
def f(host):
    try:
        with open("/proc/self/oom_score_adj", "w") as file: file.write("-1000")
    except OSError: return "refused"
    return "spared"
""",
        value="refused",
    ),
    Program(
        name="release_agent",
        tries="has the kernel run a program of its own when a control group is empty",
        code="""
import ctypes, os
def f(host):
    got = []
    for folder, folders, files in os.walk("/sys/fs/cgroup"):
        for name in files:
            if name in ("release_agent", "notify_on_release", "cgroup.procs", "tasks", "memory.limit_in_bytes", "memory.max"):
                try: os.close(os.open(f"{folder}/{name}", os.O_WRONLY)); got.append(name)
                except OSError: pass
        if folder.count("/") > 5: folders.clear()
    os.mkdir("group")
    for kind, options in ((b"cgroup", b"rdma"), (b"cgroup", b"memory"), (b"cgroup2", b"")):
        if ctypes.CDLL(None).mount(b"x", b"group", kind, 0, options) == 0: got.append("mounted")
    return sorted(set(got))
""",
        value=[],
        weaker={PROCESS: Weakness(USERS_FILES, value=Expected.AS_OUTSIDE)},
    ),
    Program(
        name="engine",
        tries="talks to a container engine, whose every caller is root",
        code="""
import os, socket
def f(host):
    got = []
    for path in ("/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock", "/run/podman/podman.sock",
                 "/run/crio/crio.sock", "/run/user/%d/docker.sock" % os.getuid(), "/run/dbus/system_bus_socket"):
        try: socket.socket(socket.AF_UNIX).connect(path); got.append(path)
        except OSError: pass
    for port in (2375, 2376):
        try: socket.create_connection(("127.0.0.1", port), 0.2); got.append(port)
        except OSError: pass
    return got
""",
        value=[],
        weaker={PROCESS: Weakness(USERS_FILES, value=Expected.AS_OUTSIDE)},
    ),
    Program(
        name="descriptors_inherited",
        tries="finds open descriptors that nobody gave it",
        code="""
import os
def f(host):
    found = []
    for number in range(5, 4096):
        try: os.fstat(number); found.append(number)
        except OSError: pass
    return found
""",
        value=[],
    ),
    Program(
        name="folder_swapped",
        tries="puts a link to a folder of the machine where its own folder was, to have that one removed",
        code="""
import os
def f(host):
    place = os.getcwd()
    try:
        os.rename(place, place + "-gone")
        os.symlink(host["victim"], place)
    except OSError: return "refused"
    return "swapped"
""",
        value="refused",
        weaker={
            PROCESS: Weakness(USERS_FILES, value="swapped", leaves=frozenset({Trace.FILE})),
        },
    ),
    Program(
        name="links_to_be_followed",
        tries="leaves links to a folder of the machine where something will be removed",
        code="""
import os
def f(host):
    os.symlink(host["victim"], "folder")
    os.symlink(host["victim"] + "/precious", "file")
    os.mkdir("inner"); os.symlink("../..", "inner/up")
    return 1
""",
        value=1,
    ),
    Program(
        name="link_race",
        tries="exchanges a folder and a link to one of the machine, all the while that its files are removed",
        code="""
import ctypes, os
def f(host):
    os.mkdir("a"); open("a/precious", "w").close()
    os.symlink(host["victim"], "b")
    if os.fork() == 0:
        libc = ctypes.CDLL(None)
        while True: libc.renameat2(-100, b"a", -100, b"b", 2)
    return 1
""",
        value=1,
    ),
    Program(
        name="folders_closed",
        tries="leaves folders that their owner cannot enter",
        code="""
import os
def f(host):
    os.makedirs("a/b/c"); open("a/b/c/file", "w").close()
    for path in ("a/b/c", "a/b", "a"): os.chmod(path, 0)
    return 1
""",
        value=1,
    ),
    Program(
        name="names_that_confuse",
        tries="leaves files with names that are no text, pipes, sockets",
        code="""
import os, socket
def f(host):
    for name in (b"\\xff\\xfe", b"-rf", b"new\\nline", b"x" * 255, b" ", b"$(reboot)", b"..."): open(name, "w").close()
    os.mkfifo("pipe")
    socket.socket(socket.AF_UNIX).bind("socket")
    return 1
""",
        value=1,
    ),
]
