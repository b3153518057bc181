"""System calls that a program which computes has no use for, and through which kernels were broken.

Refused means that a filter, or a missing privilege, said no: a kernel that finds fault with the arguments was reached.
"""

from tests.security.program import KILLED, OK, PROCESS, Expected, Program, Weakness, one_of
from tests.security.programs.crashes import X86_CODE
from tests.security.programs.files import USERS_PROCESSES

THE_KERNELS_CALLS = "make every system call that the kernel gives its user"
BY_THE_KERNEL = {PROCESS: Weakness(THE_KERNELS_CALLS, value=Expected.AS_OUTSIDE)}

CALL = """
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
buffer = ctypes.create_string_buffer(4096)
def call(x86, arm, *arguments):
    number = {"x86_64": x86, "aarch64": arm}[os.uname().machine]
    if number is None: return "refused"
    answer = libc.syscall(number, *arguments)
    if answer >= 0: return "done"
    refusals = (errno.EPERM, errno.EACCES, errno.ENOSYS, errno.ENODEV, errno.EOPNOTSUPP)
    return "refused" if ctypes.get_errno() in refusals else errno.errorcode[ctypes.get_errno()]
"""

# By what they are for: name, numbers on x86_64 and aarch64, arguments. Where a call would do harm, its arguments are
# such that it cannot.
Call = tuple[str, int | None, int | None, str]
CALLS: dict[str, list[Call]] = {
    "mount": [
        ("mount", 165, 40, 'b"x", b"/tmp", b"tmpfs", 0, b""'),
        ("umount", 166, 39, 'b"/tmp", 2'),
        ("pivot_root", 155, 41, 'b"/tmp", b"/tmp"'),
        ("mount_setattr", 442, 442, '-100, b"/tmp", 0, buffer, 32'),
        ("move_mount", 429, 429, '-100, b"/tmp", -100, b"/tmp", 0'),
    ],
    "mount_by_descriptors": [
        ("fsopen", 430, 430, 'b"tmpfs", 0'),
        ("fspick", 433, 433, '-100, b"/", 0'),
        ("open_tree", 428, 428, '-100, b"/", 1'),
        ("open_tree_attr", 467, 467, '-100, b"/", 1, buffer, 32'),
        ("listmount", 458, 458, "buffer, buffer, 1, 0"),
    ],
    "unshare": [
        ("user", 272, 97, "0x10000000"),
        ("mount", 272, 97, "0x00020000"),
        ("net", 272, 97, "0x40000000"),
        ("pid", 272, 97, "0x20000000"),
        ("cgroup", 272, 97, "0x02000000"),
    ],
    "setns": [("setns", 308, 268, "-1, 0"), ("own", 308, 268, 'os.open("/", 0), 0')],
    "keyctl": [
        ("add_key", 248, 217, 'b"user", b"x", b"x", 1, -3'),
        ("request_key", 249, 218, 'b"user", b"x", None, -3'),
        ("keyctl", 250, 219, "0, -3, 1"),
    ],
    "bpf": [("map", 321, 280, "0, buffer, 128"), ("program", 321, 280, "5, buffer, 128")],
    "io_uring": [
        ("setup", 425, 425, "4, buffer"),
        ("enter", 426, 426, "-1, 0, 0, 0, 0"),
        ("register", 427, 427, "-1, 0, 0, 0"),
    ],
    "perf": [("perf_event_open", 298, 241, "buffer, 0, -1, -1, 0"), ("lookup_dcookie", 212, 18, "0, buffer, 100")],
    "userfaultfd": [("userfaultfd", 323, 282, "0"), ("of_the_user", 323, 282, "1")],
    "modules": [
        ("init_module", 175, 105, 'buffer, 4096, b""'),
        ("finit_module", 313, 273, '0, b"", 0'),
        ("delete_module", 176, 106, 'b"none", 0'),
    ],
    "another_kernel": [
        ("kexec_load", 246, 104, "0, -1, None, 0"),
        ("kexec_file_load", 320, 294, "-1, -1, 0, None, 0"),
        ("reboot", 169, 142, "0, 0, 0, None"),
    ],
    "machine_settings": [
        ("swapon", 167, 224, 'b"/tmp/none", 0'),
        ("acct", 163, 89, 'b"/tmp/none"'),
        ("settimeofday", 164, 170, "None, None"),
        ("clock_settime", 227, 112, "0, None"),
        ("adjtimex", 159, 171, "None"),
        ("sethostname", 170, 161, 'b"x", 1'),
        ("quotactl", 179, 60, "0, buffer, 0, buffer"),
        ("vhangup", 153, 58, ""),
    ],
    "kernel_log": [("syslog", 103, 116, "3, buffer, 4096")],
    "processor_of_old": [
        ("iopl", 172, None, "3"),
        ("ioperm", 173, None, "0, 1024, 1"),
        ("modify_ldt", 154, None, "1, buffer, 16"),
        ("personality", 135, 92, "0x0400000"),
    ],
    "file_handles": [
        ("open_by_handle_at", 304, 265, "-100, buffer, 0"),
        ("name_to_handle_at", 303, 264, '-100, b"/", buffer, buffer, 0'),
        ("fanotify", 300, 262, "0, 0"),
    ],
    "memory_of_others": [
        ("process_vm_readv", 310, 270, "os.getppid(), 0, 0, 0, 0, 0"),
        ("process_vm_writev", 311, 271, "os.getppid(), 0, 0, 0, 0, 0"),
        ("process_madvise", 440, 440, "-1, 0, 0, 0, 0"),
        ("move_pages", 279, 239, "1, 0, 0, 0, 0, 0"),
        ("kcmp", 312, 272, "1, 1, 0, 0, 0"),
    ],
    "pidfd_getfd": [("pidfd_getfd", 438, 438, "-1, 0, 0")],
    "secret_memory": [("memfd_secret", 447, 447, "0"), ("vmsplice", 278, 75, "-1, 0, 0, 0")],
    "calls_of_the_future": [
        (f"{number}", number, number, "buffer, buffer, 0, 0") for number in (500, 548, 1000, 100_000)
    ],
}


def system_calls(group: str) -> Program:
    lines = [
        f"    {name!r}: lambda: call({', '.join(filter(None, (str(x86), str(arm), arguments)))}),\n"
        for name, x86, arm, arguments in CALLS[group]
    ]
    return Program(
        name=group if group.startswith("calls") else f"call_{group}",
        tries=f"calls {', '.join(name for name, *_ in CALLS[group])} of the kernel",
        code=CALL
        + f"""
CALLS = {{
{"".join(lines)}}}
def f(host):
    answers = {{name: make() for name, make in CALLS.items()}}
    return {{name: answer for name, answer in answers.items() if answer != "refused"}}
""",
        value={},
        weaker=BY_THE_KERNEL,
    )


PROGRAMS = [
    Program(
        name="ptrace_the_supervisor",
        tries="debugs the process that watches it",
        code=CALL
        + """
def f(host):
    answer = call(101, 117, 16, os.getppid(), 0, 0)
    if answer == "done": os.waitpid(os.getppid(), 0x40000000)
    return answer
""",
        value="refused",
    ),
    Program(
        name="ptrace_a_child",
        tries="debugs a child, to reach the kernel's debugger at all",
        code=CALL + "def f(host): return call(101, 117, 0, 0, 0, 0)\n",
        value="refused",
        weaker=BY_THE_KERNEL,
    ),
    Program(
        name="ptrace_the_service",
        tries="debugs the service",
        code=CALL
        + """
def f(host):
    answer = call(101, 117, 0x4206, host["service"], 0, 0)
    if answer == "done": call(101, 117, 17, host["service"], 0, 0)
    return "refused" if answer == "ESRCH" else answer
""",
        value="refused",
        weaker=BY_THE_KERNEL,
    ),
    Program(
        name="memory_of_the_service",
        tries="reads the memory of the service, of its supervisor and of process 1",
        code="""
import os
def f(host):
    got = []
    for name, process in (("service", host["service"]), ("supervisor", os.getppid()), ("first", 1)):
        try: os.close(os.open(f"/proc/{process}/mem", os.O_RDONLY)); got.append(name)
        except OSError: pass
    return got
""",
        value=[],
        weaker={PROCESS: Weakness(USERS_PROCESSES, value=["service"])},
    ),
    Program(
        name="clone_into_namespaces",
        tries="has a child in namespaces of its own, where it would be root",
        code=CALL
        + """
def f(host):
    got = []
    for flags in (0x10000000, 0x10020000, 0x50000000, 0x20000000):
        child = libc.syscall({"x86_64": 56, "aarch64": 220}[os.uname().machine], flags | 17, 0, 0, 0, 0)
        if child == 0: os._exit(0)
        if child > 0: os.waitpid(child, 0); got.append(hex(flags))
    return got
""",
        value=[],
        weaker=BY_THE_KERNEL,
    ),
    Program(
        name="clone3",
        tries="has such a child by the call whose flags no filter can see",
        code=CALL
        + """
import struct
def f(host):
    arguments = ctypes.create_string_buffer(struct.pack("11Q", 0x10000000, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0))
    child = libc.syscall(435, arguments, 88)
    if child == 0: os._exit(0)
    return "refused" if child < 0 else "done"
""",
        value="refused",
        weaker=BY_THE_KERNEL,
    ),
    Program(
        name="calls_of_32_bits",
        tries="makes its calls by the door for 32-bit programs, with other numbers",
        code=X86_CODE
        + """
def f(host):
    if os.uname().machine != "x86_64": return "refused"
    # push rbx; mov eax, 310 (unshare); mov ebx, CLONE_NEWUSER; int 0x80; pop rbx; ret
    answer = run(b"\\x53\\xb8\\x36\\x01\\x00\\x00\\xbb\\x00\\x00\\x00\\x10\\xcd\\x80\\x5b\\xc3")
    return "refused" if answer < 0 else "done"
""",
        statuses=one_of(OK, KILLED),
        value="refused",
        weaker={PROCESS: Weakness(THE_KERNELS_CALLS, statuses=one_of(OK, KILLED), value=Expected.ANY)},
    ),
    Program(
        name="calls_of_x32",
        tries="makes its calls by the numbers of the x32 interface",
        code=CALL
        + """
def f(host):
    got = [number for number in (101, 165, 272, 321) if libc.syscall(0x40000000 | number, 0x10000000, 0, 0, 0, 0) >= 0]
    return got
""",
        value=[],
    ),
    Program(
        name="root_again",
        tries="becomes root, by user, group and capabilities",
        code=CALL
        + """
import struct
def f(host):
    got = []
    for name in ("setuid", "setgid", "seteuid", "setegid"):
        try: getattr(os, name)(0); got.append(name)
        except OSError: pass
    try: os.setgroups([0]); got.append("setgroups")
    except OSError: pass
    every = ctypes.create_string_buffer(struct.pack("6I", *[0xFFFFFFFF] * 6))
    if call(126, 91, struct.pack("Ii", 0x20080522, 0), every) == "done": got.append("capset")
    return got
""",
        value=[],
    ),
    Program(
        name="privileges_held",
        tries="looks for a capability, a group or a way to new privileges that it was left",
        code=CALL
        + """
import struct
def f(host):
    held = ctypes.create_string_buffer(24)
    call(125, 90, struct.pack("Ii", 0x20080522, 0), held)
    bounding = [number for number in range(64) if libc.prctl(23, number, 0, 0, 0) == 1]
    return [any(held.raw), bounding, libc.prctl(39, 0, 0, 0, 0), os.getuid() == 0, 0 in os.getgroups()]
""",
        # No capability held or to be had, no new privileges, not root, in no group of root's.
        value=[False, [], 1, False, False],
        weaker={PROCESS: Weakness(THE_KERNELS_CALLS, value=Expected.AS_OUTSIDE)},
    ),
    Program(
        name="filter_taken_off",
        tries="lays a filter of its own over the one that holds it, which must not loosen it",
        code=CALL
        + """
import struct
def f(host):
    allow_all = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0x7FFF0000))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", 1, ctypes.addressof(allow_all)))
    libc.prctl(22, 2, program, 0, 0)
    return call(272, 97, 0x10000000)
""",
        value="refused",
        weaker=BY_THE_KERNEL,
    ),
    *map(system_calls, CALLS),
]
