"""What a failing attempt's runtime would have printed: found by running it in the mesh's sandbox, never here."""

from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from google.protobuf.json_format import MessageToDict, ParseDict

from autodev.sandbox.v1 import sandbox_service_pb2 as pb
from autodev_cli.episodes import Attempt, Task
from autodev_sdk import AutoDevClient

SECONDS_PER_EXAMPLE = 1.0
SECONDS_IN_ALL = 3.0

_ENDINGS = {
    pb.EXECUTION_STATUS_TIMEOUT: f"TimeoutError: no answer within {SECONDS_IN_ALL:g} s",
    pb.EXECUTION_STATUS_OOM: "MemoryError: the program needed more memory than it may use",
    pb.EXECUTION_STATUS_OUTPUT_LIMIT: "OSError: the program printed more than it may",
    pb.EXECUTION_STATUS_KILLED: "RuntimeError: the program's process was ended by a signal",
}
UNKNOWN = "AssertionError: the task's tests failed"


@dataclass(frozen=True)
class Trace:
    """What was printed, and the seconds it took in the sandbox. `found`: whether an example really failed."""

    text: str
    found: bool
    sandbox_s: float


@cache
def _program() -> str:
    return (Path(__file__).parent / "inside" / "first_failure.py").read_text()


async def trace_of(mesh: AutoDevClient, task: Task, attempt: Attempt) -> Trace:
    """Run the attempt until an example fails. Endless loops and crashes end there too, as the sandbox's status."""
    request = pb.ExecuteRequest(code=_program(), entry_point="first_failure")
    request.limits.timeout.FromMilliseconds(int(SECONDS_IN_ALL * 1000))
    inputs = {
        "code": attempt.code,
        "preamble": task.preamble,
        "examples": [asdict(test) for test in task.tests],
        "seconds_per_example": SECONDS_PER_EXAMPLE,
    }
    ParseDict(inputs, request.inputs)
    answer = await mesh.sandbox.Execute(request)
    if answer.status == pb.EXECUTION_STATUS_OK:
        found = MessageToDict(answer.result)
        if isinstance(found, dict) and found.get("trace"):
            return Trace(str(found["trace"]), True, answer.total_seconds)
    if answer.status == pb.EXECUTION_STATUS_ERROR and answer.error.type:
        return Trace(f"{answer.error.type}: {answer.error.message}", True, answer.total_seconds)
    ending = _ENDINGS.get(answer.status)
    return Trace(ending or UNKNOWN, ending is not None, answer.total_seconds)
