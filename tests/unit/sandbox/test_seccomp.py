"""The filter, run by a BPF machine of a few lines: what it answers to a call, on both machines it knows."""

import errno
import re
import struct
from pathlib import Path

import pytest

from autodev_sandbox import seccomp
from autodev_sandbox.execution import BackendUnavailable
from tests.conftest import require

MACHINES = sorted(seccomp.ARCHITECTURES)
HEADERS = {"x86_64": "/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "aarch64": "/usr/include/asm-generic/unistd.h"}


ALLOWED, KILLED, ASKED = 0, -1, -2


def answer(machine: str, number: int, *arguments: int, audit: int | None = None, tells_of_network: bool = False) -> int:
    """The filter's verdict on one call: ALLOWED, KILLED, ASKED, or the errno when refused."""
    padded = [*arguments, *[0] * (6 - len(arguments))]
    architecture = audit if audit is not None else seccomp.ARCHITECTURES[machine].audit
    data = struct.pack("=IIQ6Q", number, architecture, 0, *padded)
    program = list(struct.iter_unpack("=HBBI", seccomp.program(machine, tells_of_network=tells_of_network)))
    accumulator = step = 0
    while True:
        code, if_true, if_false, operand = program[step]
        step += 1
        if code == seccomp.RETURN:
            verdicts = {seccomp.ALLOW: ALLOWED, seccomp.KILL_PROCESS: KILLED, seccomp.ASK: ASKED}
            return int(verdicts.get(operand, operand & 0xFFFF))
        if code == seccomp.LOAD_WORD:
            (accumulator,) = struct.unpack_from("=I", data, operand)
            continue
        holds = {
            seccomp.JUMP_IF_EQUAL: accumulator == operand,
            seccomp.JUMP_IF_GREATER_OR_EQUAL: accumulator >= operand,
            seccomp.JUMP_IF_ANY_BIT: bool(accumulator & operand),
        }[code]
        step += if_true if holds else if_false


def column(machine: str) -> int:
    return seccomp.ARCHITECTURES[machine].column


@pytest.mark.parametrize("machine", MACHINES)
def test_every_denied_call_is_refused_and_its_neighbours_are_not(machine: str) -> None:
    tables = (seccomp.DENIED, seccomp.ABSENT)
    named = {numbers[column(machine)] for table in tables for numbers in table.values()}
    special = {each[column(machine)] for each in (seccomp.CLONE, seccomp.SOCKET, seccomp.SOCKETPAIR)}
    special |= {each[column(machine)] for each in (*seccomp.OF_A_PROCESS.values(), *seccomp.OF_A_KIND.values())}
    for number in range(seccomp.FIRST_UNKNOWN):
        refused = answer(machine, number) != 0
        if number not in special:
            assert refused == (number in named), number


@pytest.mark.parametrize("machine", MACHINES)
def test_calls_whose_flags_cannot_be_seen_look_absent(machine: str) -> None:
    for numbers in seccomp.ABSENT.values():
        number = numbers[column(machine)]
        assert number is not None
        assert answer(machine, number) == errno.ENOSYS


@pytest.mark.parametrize("machine", MACHINES)
def test_calls_younger_than_the_tables_look_absent(machine: str) -> None:
    assert answer(machine, seccomp.FIRST_UNKNOWN) == errno.ENOSYS
    assert answer(machine, 5000) == errno.ENOSYS


@pytest.mark.parametrize("machine", MACHINES)
def test_processes_and_threads_can_be_made_and_namespaces_cannot(machine: str) -> None:
    clone = seccomp.CLONE[column(machine)]
    thread, child, new_user = 0x3D0F00, 0x1200011, 0x10000000
    assert answer(machine, clone, thread) == 0
    assert answer(machine, clone, child) == 0
    assert answer(machine, clone, child | new_user) == errno.EPERM


@pytest.mark.parametrize("machine", MACHINES)
def test_process_1_alone_keeps_its_limits_and_its_priority(machine: str) -> None:
    """Whatever is in the upper half of the register: the kernel looks at the lower one."""
    other = [0, 2, 17, 2**31, 2**32, 2**32 + 2]
    for numbers in seccomp.OF_A_PROCESS.values():
        number = numbers[column(machine)]
        assert [answer(machine, number, process) for process in (1, 2**32 + 1)] == [errno.EPERM] * 2
        assert [answer(machine, number, process) for process in other] == [ALLOWED] * len(other)
    for name, numbers in seccomp.OF_A_KIND.items():
        number, one = numbers[column(machine)], seccomp.ONE_PROCESS[name]
        assert [answer(machine, number, one, process) for process in (1, 2**32 + 1)] == [errno.EPERM] * 2
        assert [answer(machine, number, one, process) for process in other] == [ALLOWED] * len(other)
        # Its group, or its user.
        kinds = [kind for kind in range(5) if kind != one]
        assert [answer(machine, number, kind, 0) for kind in kinds] == [errno.EPERM] * len(kinds)


@pytest.mark.parametrize("machine", MACHINES)
def test_only_ordinary_sockets_can_be_made(machine: str) -> None:
    socket = seccomp.SOCKET[column(machine)]
    stream, datagram, sequence, nonblocking = 1, 2, 5, 0x800
    for family in range(46):
        assert answer(machine, socket, family, stream) == (0 if family in (1, 2, 10) else errno.EAFNOSUPPORT)
    assert answer(machine, socket, 1, sequence) == 0
    for family in (2, 10):
        assert answer(machine, socket, family, datagram | nonblocking, 17) == 0
        assert answer(machine, socket, family, sequence) == errno.ESOCKTNOSUPPORT
        # SCTP, whose module an ordinary user's first socket loads.
        assert answer(machine, socket, family, stream | nonblocking, 132) == errno.EPROTONOSUPPORT


@pytest.mark.parametrize("machine", MACHINES)
def test_a_filter_that_tells_of_the_network_asks_about_what_touches_it_and_no_other_call(machine: str) -> None:
    socket, bind, setsockopt = (each[column(machine)] for each in (seccomp.SOCKET, seccomp.BIND, seccomp.SETSOCKOPT))
    for number in range(seccomp.FIRST_UNKNOWN):
        for family in range(46):
            plain = answer(machine, number, family, 1)
            asks = number == bind or (number == socket and family in seccomp.INTERNET)
            assert answer(machine, number, family, 1, tells_of_network=True) == (ASKED if asks else plain)
    for level in range(3):
        for option in range(100):
            assert answer(machine, setsockopt, 5, level, option) == ALLOWED
            asks = level == 1 and option in (16, 76)
            assert answer(machine, setsockopt, 5, level, option, tells_of_network=True) == (ASKED if asks else ALLOWED)


@pytest.mark.parametrize("machine", MACHINES)
def test_only_local_sockets_come_in_pairs(machine: str) -> None:
    for family in range(46):
        assert answer(machine, seccomp.SOCKETPAIR[column(machine)], family) == (
            0 if family == 1 else errno.EAFNOSUPPORT
        )


def test_another_machines_calls_kill_and_x32_calls_look_absent() -> None:
    i386 = 0x40000003
    assert answer("x86_64", 1, audit=i386) == -1
    assert answer("x86_64", 0x40000001) == errno.ENOSYS


def test_an_unknown_machine_has_no_namespace_level() -> None:
    with pytest.raises(BackendUnavailable, match="riscv64"):
        seccomp.program("riscv64")


@pytest.mark.parametrize("machine", MACHINES)
def test_the_numbers_are_the_kernels(machine: str) -> None:
    header = Path(HEADERS[machine])
    require(header.exists(), f"the kernel's header {header} is not here (apt-get install linux-libc-dev)")
    found = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", header.read_text())
    kernels = {name: int(number) for name, number in found}
    tables = seccomp.DENIED | seccomp.ABSENT
    tables |= seccomp.OF_A_PROCESS | seccomp.OF_A_KIND
    tables |= {"clone": seccomp.CLONE, "socket": seccomp.SOCKET, "socketpair": seccomp.SOCKETPAIR}
    tables |= {"bind": seccomp.BIND, "setsockopt": seccomp.SETSOCKOPT}
    checked = 0
    for name, numbers in tables.items():
        # A header may be older than the newest calls.
        if name in kernels:
            assert kernels[name] == numbers[column(machine)], name
            checked += 1
    assert checked > 60
