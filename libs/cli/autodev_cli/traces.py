"""What a failing attempt's runtime would have printed: found by running it in the mesh's sandbox, never here."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict, ParseDict

from autodev.sandbox.v1 import sandbox_service_pb2 as pb
from autodev_cli.episodes import Task
from autodev_sdk import AutoDevClient

SECONDS_PER_EXAMPLE = 1.0
SECONDS_PER_PROGRAM = 3.0
PROGRAMS_AT_A_TIME = 10

_ENDINGS = {
    pb.EXECUTION_STATUS_TIMEOUT: f"TimeoutError: no answer within {SECONDS_PER_PROGRAM:g} s",
    pb.EXECUTION_STATUS_OOM: "MemoryError: the program needed more memory than it may use",
    pb.EXECUTION_STATUS_OUTPUT_LIMIT: "OSError: the program printed more than it may",
    pb.EXECUTION_STATUS_KILLED: "RuntimeError: the program's process was ended by a signal",
}
UNKNOWN = "AssertionError: the task's tests failed"


@cache
def _program() -> str:
    return (Path(__file__).parent / "inside" / "first_failure.py").read_text()


async def traces_of(mesh: AutoDevClient, task: Task, codes: Sequence[str]) -> list[str]:
    """The trace of each program: run until an example fails; UNKNOWN where none does.

    Endless loops and crashes are traces too. Where one program takes the others' sandbox down, each gets its own.
    """
    answer = await _execute(mesh, task, codes)
    if answer.status == pb.EXECUTION_STATUS_OK:
        found: Any = MessageToDict(answer.result)
        return [str(each["trace"]) if each else UNKNOWN for each in found]
    if len(codes) > 1:
        return [(await traces_of(mesh, task, [code]))[0] for code in codes]
    return [_ENDINGS.get(answer.status) or f"{answer.error.type}: {answer.error.message}"]


async def _execute(mesh: AutoDevClient, task: Task, codes: Sequence[str]) -> pb.ExecuteResponse:
    request = pb.ExecuteRequest(code=_program(), entry_point="first_failures")
    request.limits.timeout.FromMilliseconds(int((SECONDS_PER_PROGRAM + 1) * 1000 * len(codes)))
    inputs = {
        "codes": list(codes),
        "preamble": task.preamble,
        "examples": [asdict(test) for test in task.tests],
        "seconds_per_example": SECONDS_PER_EXAMPLE,
        "seconds_per_program": SECONDS_PER_PROGRAM,
    }
    ParseDict(inputs, request.inputs)
    return await mesh.sandbox.Execute(request)
