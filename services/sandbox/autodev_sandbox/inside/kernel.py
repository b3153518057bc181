"""The kernel calls that Python 3.11 has no function for.

By `_ctypes`: `ctypes`, which wraps it, imports nine modules, and takes as long as the interpreter itself to start.
"""

from __future__ import annotations

import _ctypes
import posix
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# linux/sched.h
NEW_MOUNTS, NEW_NAMES, NEW_IPC, NEW_PROCESSES, NEW_NETWORK = 0x20000, 0x4000000, 0x8000000, 0x20000000, 0x40000000
# sys/mount.h
NO_SET_USER, NO_DEVICES, NO_EXECUTION = 2, 4, 8
# linux/prctl.h, linux/seccomp.h
SET_DUMPABLE, SET_FILTER, DROP_FROM_BOUNDING_SET, SET_SECURE_BITS, SET_NO_NEW_PRIVILEGES, AMBIENT = (
    4,
    22,
    24,
    28,
    38,
    47,
)
FILTER_MODE, CLEAR_ALL_AMBIENT = 2, 4
# linux/seccomp.h: of the call that Python's C library has no function for, and of those to a filter's listener.
LOAD_FILTER, WITH_LISTENER = 1, 8
SECCOMP = {"x86_64": 317, "aarch64": 277}
NEXT_ASKED, ANSWER, GO_ON = 0xC0502100, 0xC0182101, 1
ASKED_BYTES, NUMBER_BYTES = 80, 8
# linux/securebits.h: root is nobody special, capabilities neither survive nor rise, and all that is locked.
SECURE_BITS = 0b11101111
# linux/capability.h: version 3, and three empty sets of 64 bits.
CAPABILITIES_HEADER, NO_CAPABILITIES = (0x20080522).to_bytes(4, sys.byteorder) + bytes(4), bytes(24)
MOST_CAPABILITIES = 64
# linux/if.h: a request is a name of 16 bytes, and flags in 24.
SET_INTERFACE_FLAGS, INTERFACE_UP = 0x8914, 1
INTERNET, DATAGRAM = 2, 2


class Int(_ctypes._SimpleCData):  # type: ignore[type-arg]
    """C's int."""

    _type_ = "i"


class Long(_ctypes._SimpleCData):  # type: ignore[type-arg]
    """C's long, which `prctl` reads all its arguments as."""

    _type_ = "l"


class Char(_ctypes._SimpleCData):  # type: ignore[type-arg]
    """C's char."""

    _type_ = "c"


class Function(_ctypes.CFuncPtr):
    """A C function that tells of its failure by -1 and errno."""

    _flags_ = _ctypes.FUNCFLAG_CDECL | _ctypes.FUNCFLAG_USE_ERRNO
    _restype_ = Int


LIBRARY = _ctypes.dlopen(None, 0)  # type: ignore[arg-type]  # This process's own.


def call(name: str, *arguments: Any) -> int:
    """Call a function of the C library. Raises OSError."""
    function: Any = Function(_ctypes.dlsym(LIBRARY, name))
    result: int = function(*arguments)
    if result < 0:
        error = _ctypes.get_errno()
        raise OSError(error, f"{name}: {posix.strerror(error)}")
    return result


def control_process(option: int, *arguments: int) -> int:
    """prctl(2)."""
    padded = (*arguments, 0, 0, 0, 0)[:4]
    return call("prctl", option, *map(Long, padded))


def unshare(kinds: int) -> None:
    """Go into fresh namespaces of these kinds; into a fresh process namespace only the next fork goes."""
    call("unshare", kinds)


def enter_process_namespace(process_descriptor: int) -> None:
    """Let the next forks go into that process's namespace."""
    call("setns", process_descriptor, NEW_PROCESSES)


def mount_scratch(path: bytes, size_bytes: int, files: int) -> None:
    """An empty directory in memory, from which nothing can be executed."""
    options = b"mode=1777,size=%d,nr_inodes=%d" % (size_bytes, files)
    call("mount", b"tmpfs", path, b"tmpfs", Long(NO_SET_USER | NO_DEVICES | NO_EXECUTION), options)


def raise_loopback() -> None:
    """Let a fresh network namespace reach itself: it has nothing else to reach."""
    descriptor = call("socket", INTERNET, DATAGRAM, 0)
    request = array(b"lo".ljust(16, b"\0") + INTERFACE_UP.to_bytes(2, sys.byteorder) + bytes(22))
    call("ioctl", descriptor, Long(SET_INTERFACE_FLAGS), request)
    posix.close(descriptor)


def renounce_privileges() -> None:
    """Let no program that is executed from here on gain any, and keep those that are held from coming back."""
    control_process(SET_NO_NEW_PRIVILEGES, 1)
    control_process(SET_SECURE_BITS, SECURE_BITS)
    control_process(AMBIENT, CLEAR_ALL_AMBIENT)
    for capability in range(MOST_CAPABILITIES):
        try:
            control_process(DROP_FROM_BOUNDING_SET, capability)
        except OSError:
            return  # The kernel knows no more of them.


def drop_capabilities() -> None:
    call("capset", CAPABILITIES_HEADER, NO_CAPABILITIES)


def hide() -> None:
    """Close ptrace and /proc/<this process> to processes of the same user."""
    control_process(SET_DUMPABLE, 0)


def load_filter(program: bytes) -> None:
    """Put this process and all that come from it under a system call filter, for good."""
    instructions = array(program)
    call("prctl", SET_FILTER, Long(FILTER_MODE), filter_header(instructions, len(program)))


def load_asking_filter(program: bytes) -> int:
    """The same for a filter that asks: the descriptor that becomes readable when it does."""
    number = SECCOMP[posix.uname().machine]
    instructions = array(program)
    header = filter_header(instructions, len(program))
    return call("syscall", Long(number), Long(LOAD_FILTER), Long(WITH_LISTENER), header)


def filter_header(instructions: Any, size: int) -> Any:
    address = _ctypes.addressof(instructions)
    return array((size // 8).to_bytes(2, sys.byteorder) + bytes(6) + address.to_bytes(8, sys.byteorder))


def let_go_on(listener: int) -> None:
    """Let the next call go on that a filter asks about. Raises OSError when it was given up meanwhile."""
    asked = array(bytes(ASKED_BYTES))
    call("ioctl", listener, Long(NEXT_ASKED), asked)
    answer = bytes(asked)[:NUMBER_BYTES] + bytes(12) + GO_ON.to_bytes(4, sys.byteorder)
    call("ioctl", listener, Long(ANSWER), array(answer))


def array(data: bytes) -> Any:
    """The bytes where C can have their address."""
    kind: Any = type("Bytes", (_ctypes.Array,), {"_type_": Char, "_length_": len(data)})
    return kind.from_buffer_copy(data)
