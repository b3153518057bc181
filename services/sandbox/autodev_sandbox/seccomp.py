"""The strong levels' system call filter, as the BPF program that a sandbox loads before it runs anything.

It refuses what a program that computes has no use for and what kernels were broken through: debugging and reading
other processes, mounting, making namespaces, key rings, BPF, io_uring, performance counters, userfaultfd, loading code
into the kernel, sockets that make the kernel load a module. It also refuses what tells of others on this machine
(which files they read, what is cached), and files in memory, which could be executed where /tmp is not.
And it lets nobody set the limits or the priority of the sandbox's process 1, who is of the same user and watches.
Refused calls answer EPERM, so programs see an error and not a crash; those younger than the tables answer ENOSYS.
"""

import errno
import platform
import struct
from dataclasses import dataclass
from typing import Final

from autodev_sandbox.execution import BackendUnavailable

# linux/bpf_common.h, linux/seccomp.h
LOAD_WORD, JUMP_IF_EQUAL, JUMP_IF_GREATER_OR_EQUAL, JUMP_IF_ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
ALLOW, KILL_PROCESS, ERRNO, ASK = 0x7FFF0000, 0x80000000, 0x00050000, 0x7FC00000
NUMBER_OFFSET, ARCHITECTURE_OFFSET, ARGUMENTS_OFFSET = 0, 4, 16
FIRST_UNKNOWN = 463  # Where the tables end. Calls by the x32 convention, whose numbers have a high bit, are beyond it.
INSTRUCTION_BYTES = 8

# CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET
NAMESPACE_FLAGS = 0x00020000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000
LOCAL, INTERNET = 1, (2, 10)  # AF_UNIX; AF_INET, AF_INET6. AF_VSOCK, for one, knows no network namespace.
STRANGE_TYPES = 0b1100  # All but SOCK_STREAM, SOCK_DGRAM and SOCK_RAW, which asks for a capability.
PROTOCOLS = (0, 6, 17)  # The type's own, TCP, UDP


@dataclass(frozen=True)
class Architecture:
    """A machine's AUDIT_ARCH value and its column in the table below."""

    audit: int
    column: int


ARCHITECTURES: Final = {"x86_64": Architecture(0xC000003E, 0), "aarch64": Architecture(0xC00000B7, 1)}

# Numbers on x86_64 and aarch64; None where the call does not exist.
DENIED: Final[dict[str, tuple[int | None, int | None]]] = {
    "acct": (163, 89),
    "add_key": (248, 217),
    "adjtimex": (159, 171),
    "bpf": (321, 280),
    "cachestat": (451, 451),
    "chroot": (161, 51),
    "clock_adjtime": (305, 266),
    "clock_settime": (227, 112),
    "delete_module": (176, 106),
    "fanotify_init": (300, 262),
    "finit_module": (313, 273),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "init_module": (175, 105),
    "inotify_init": (253, None),
    "inotify_init1": (294, 26),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
    "ioperm": (173, None),
    "iopl": (172, None),
    "kcmp": (312, 272),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "listmount": (458, 458),
    "lookup_dcookie": (212, 18),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "migrate_pages": (256, 238),
    "modify_ldt": (154, None),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "move_pages": (279, 239),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "perf_event_open": (298, 241),
    "personality": (135, 92),
    "pidfd_getfd": (438, 438),
    "pivot_root": (155, 41),
    "process_madvise": (440, 440),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "setdomainname": (171, 162),
    "sethostname": (170, 161),
    "setns": (308, 268),
    "settimeofday": (164, 170),
    "statmount": (457, 457),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "sysfs": (139, None),
    "syslog": (103, 116),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
    "vhangup": (153, 58),
    "vmsplice": (278, 75),
}
# Its flags are behind a pointer, where no filter can look. "Not there" makes the C library take the older call.
ABSENT: Final[dict[str, tuple[int | None, int | None]]] = {"clone3": (435, 435)}
# Limits and priorities of a process, named in the first argument, or of those of a kind, named in the second.
OF_A_PROCESS: Final[dict[str, tuple[int, int]]] = {
    "prlimit64": (302, 261),
    "sched_setaffinity": (203, 122),
    "sched_setattr": (314, 274),
    "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119),
}
OF_A_KIND: Final[dict[str, tuple[int, int]]] = {"ioprio_set": (251, 30), "setpriority": (141, 140)}
# The kind that is one process: IOPRIO_WHO_PROCESS, PRIO_PROCESS. The others, a group and a user, include process 1.
ONE_PROCESS: Final = {"ioprio_set": 1, "setpriority": 0}
SUPERVISOR: Final = 1
CLONE: Final = (56, 220)
SOCKET: Final = (41, 198)
SOCKETPAIR: Final = (53, 199)
BIND: Final = (49, 200)
SETSOCKOPT: Final = (54, 208)
SOCKETS_OWN: Final = 1  # SOL_SOCKET
# SO_PASSCRED, SO_PASSPIDFD: with them the kernel names a local socket by itself.
NAMING_OPTIONS: Final = (16, 76)


def instruction(code: int, operand: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, operand)


def refuse(error: int) -> bytes:
    return instruction(RETURN, ERRNO | error)


def load_argument(index: int) -> bytes:
    """The low half, which comes first on the machines above; modes, flags and families fit in it."""
    return instruction(LOAD_WORD, ARGUMENTS_OFFSET + 8 * index)


def when(value: int, *rest: bytes) -> bytes:
    """Instructions for one value of what is loaded, jumped over for any other. They must end by returning."""
    body = b"".join(rest)
    return instruction(JUMP_IF_EQUAL, value, 0, len(body) // INSTRUCTION_BYTES) + body


def spare_supervisor() -> bytes:
    """Refuse what names process 1, and end by allowing anything else."""
    return when(SUPERVISOR, refuse(errno.EPERM)) + instruction(RETURN, ALLOW)


def socket_rule(number: int, internet_verdict: int) -> bytes:
    allow = instruction(RETURN, ALLOW)
    internet = (
        load_argument(1),
        instruction(JUMP_IF_ANY_BIT, STRANGE_TYPES, 0, 1),
        refuse(errno.ESOCKTNOSUPPORT),
        load_argument(2),
        *(when(protocol, instruction(RETURN, internet_verdict)) for protocol in PROTOCOLS),
        refuse(errno.EPROTONOSUPPORT),
    )
    families = [when(LOCAL, allow), *(when(family, *internet) for family in INTERNET)]
    return when(number, load_argument(0), *families, refuse(errno.EAFNOSUPPORT))


def naming_rule(number: int, verdict: int) -> bytes:
    allow = instruction(RETURN, ALLOW)
    options = (*(when(option, instruction(RETURN, verdict)) for option in NAMING_OPTIONS), allow)
    return when(number, load_argument(1), when(SOCKETS_OWN, load_argument(2), *options), allow)


def program(machine: str | None = None, *, tells_of_network: bool = False) -> bytes:
    """The filter for a machine, this one by default. Raises BackendUnavailable for one that the tables do not know.

    With `tells_of_network` whoever loads it must listen, and let each call go on that makes an Internet socket or gives
    a local one a name (`inside/kernel.py`): what either leaves in a network namespace can outlive who made it.
    """
    machine = machine or platform.machine()
    if machine not in ARCHITECTURES:
        raise BackendUnavailable(f"no system call filter for {machine}; use the container backend")
    architecture = ARCHITECTURES[machine]
    column = architecture.column
    allow = instruction(RETURN, ALLOW)
    parts = [
        instruction(LOAD_WORD, ARCHITECTURE_OFFSET),
        instruction(JUMP_IF_EQUAL, architecture.audit, 1, 0),
        instruction(RETURN, KILL_PROCESS),
        instruction(LOAD_WORD, NUMBER_OFFSET),
        instruction(JUMP_IF_GREATER_OR_EQUAL, FIRST_UNKNOWN, 0, 1),
        refuse(errno.ENOSYS),
    ]
    for error, calls in ((errno.EPERM, DENIED), (errno.ENOSYS, ABSENT)):
        parts += [when(number, refuse(error)) for numbers in calls.values() if (number := numbers[column]) is not None]
    parts += [when(numbers[column], load_argument(0), spare_supervisor()) for numbers in OF_A_PROCESS.values()]
    for name, numbers in OF_A_KIND.items():
        of_one = when(ONE_PROCESS[name], load_argument(1), spare_supervisor())
        parts.append(when(numbers[column], load_argument(0), of_one, refuse(errno.EPERM)))
    namespaces = instruction(JUMP_IF_ANY_BIT, NAMESPACE_FLAGS, 1, 0)
    parts.append(when(CLONE[column], load_argument(0), namespaces, allow, refuse(errno.EPERM)))
    verdict = ASK if tells_of_network else ALLOW
    parts.append(socket_rule(SOCKET[column], verdict))
    parts.append(when(BIND[column], instruction(RETURN, verdict)))
    parts.append(naming_rule(SETSOCKOPT[column], verdict))
    parts.append(when(SOCKETPAIR[column], load_argument(0), when(LOCAL, allow), refuse(errno.EAFNOSUPPORT)))
    return b"".join([*parts, allow])
