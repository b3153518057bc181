"""Every program of the battery on every level, through the service, with a look at the machine after each.

The pool of the service is part of the machine's steady state; all else must be gone, but for what the registry says
that a weaker level cannot stop: that is asserted too, and then removed.
"""

import pytest
from google.protobuf import json_format

from autodev.sandbox.v1 import sandbox_service_pb2 as pb
from autodev_sandbox.execution import Status
from tests.security.host import Host
from tests.security.program import LEVELS, OK, STRONG, Expected, Program, Trace
from tests.security.programs import all_programs
from tests.security.service import Service, eventually

PROGRAMS = all_programs()


def named(program: Program) -> str:
    return program.name


@pytest.mark.parametrize("program", [each for each in PROGRAMS if each.levels == LEVELS], ids=named)
def test_program(host: Host, program: Program) -> None:
    check(host, program)


@pytest.mark.parametrize("host", STRONG, indirect=True, ids=lambda level: level.name.lower())
@pytest.mark.parametrize("program", [each for each in PROGRAMS if each.levels == STRONG], ids=named)
def test_program_for_strong_levels(host: Host, program: Program) -> None:
    check(host, program)


def check(host: Host, program: Program) -> None:
    service = host.service
    leaves = program.leaves_at(service.level) - {Trace.VISIT}
    try:
        if program.earlier:
            service.execute(program.earlier, {"host": service.host_facts()}, program.limits)
        response = service.execute(program.code, {"host": service.host_facts()}, program.limits, program.output_files)
        check_answer(service, program, response)
        eventually(lambda: host.traces().keys() == leaves, lambda: f"{leaves or 'nothing'} is left: {host.traces()}")
    finally:
        # Where a program leaves what it should not, the others are to be judged by themselves.
        if service.level not in STRONG and host.traces():
            host.clean()
    eventually(lambda: not host.traces(), lambda: f"it can be removed: {host.traces()}")
    assert service.execute("x = 1").status == pb.EXECUTION_STATUS_OK


def check_answer(service: Service, program: Program, response: pb.ExecuteResponse) -> None:
    status = Status[pb.ExecutionStatus.Name(response.status).removeprefix("EXECUTION_STATUS_")]
    said = f"{status.name}\n{response}"[:3000]
    assert int(response.isolation) == service.level
    assert status in program.allowed_at(service.level), said
    assert program.answers is None or program.answers(response), said
    visited = service.facts.visits()
    assert bool(visited) == (Trace.VISIT in program.leaves_at(service.level)), f"{visited} visits"
    if status is OK:
        value, expected = json_format.MessageToDict(response.result), program.value_at(service.level)
        if expected is Expected.AS_OUTSIDE:
            assert value == service.outside(program.code), said
        elif callable(expected):
            assert expected(value), said
        elif expected is not Expected.ANY:
            assert value == expected, said
