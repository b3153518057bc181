"""Running code in the sandbox service: the only module that knows its contract."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from google.protobuf import json_format

from autodev.sandbox.v1 import sandbox_service_pb2 as pb
from autodev_learning.trial import Execution
from autodev_runtime.clients import ask, ask_for_all
from autodev_runtime.errors import ResourceExhausted
from autodev_runtime.structs import value_from

if TYPE_CHECKING:
    from autodev.sandbox.v1.sandbox_service_pb2_grpc import SandboxServiceAsyncStub

FULL = ("QUEUE_FULL", "TOO_MANY_CALLS")
QUEUE_TRIES = 8
QUEUE_WAIT_S = (0.05, 1.0)
WAITING_S = 60.0


@dataclass(frozen=True)
class SandboxRun:
    """How one execution ended.

    `status` is "OK", "ERROR", "TIMEOUT", "OOM", "OUTPUT_LIMIT" or "KILLED"; `result` is JSON-shaped and None unless OK;
    `error` says what the code raised, as "Type: message". `seconds` is the code's wall time, `total_seconds` that of
    the whole execution: waiting, making the sandbox, running, removing it.
    """

    status: str
    result: object
    error: str
    stdout: str
    seconds: float
    total_seconds: float
    isolation: str
    memory_bytes: int = 0

    @property
    def ok(self) -> bool:
        return self.status == "OK"

    @property
    def detail(self) -> str:
        """What went wrong, in a line; empty for an execution that ended well."""
        return "" if self.ok else self.error or self.status


class Sandbox:
    """The sandbox service, as the rules use it."""

    def __init__(self, stub: "SandboxServiceAsyncStub") -> None:
        self._stub = stub

    async def run(self, code: str, entry_point: str, inputs: Mapping[str, object], timeout_s: float) -> SandboxRun:
        """Run a function of a module once, in a sandbox of its own.

        Waits a little where the sandbox's queue is full. Raises Unavailable, ResourceExhausted, FailedPrecondition
        (ISOLATION_UNAVAILABLE); InvalidArgument for a timeout above the sandbox's ceiling.
        """
        request = pb.ExecuteRequest(code=code, entry_point=entry_point)
        json_format.ParseDict(dict(inputs), request.inputs)
        _allow(request, timeout_s)
        return _run_from(await _patiently(lambda: ask(self._stub.Execute, request, timeout_s + WAITING_S)))

    async def execute(self, code: str, entry_point: str, inputs: Mapping[str, object], timeout_s: float) -> Execution:
        """The same, as `trial.Execute` has it."""
        run = await self.run(code, entry_point, inputs, timeout_s)
        return _execution_from(run)

    async def execute_each(
        self, code: str, entry_point: str, inputs: Sequence[Mapping[str, object]], timeout_s: float
    ) -> list[Execution]:
        """The same of many inputs, each in a sandbox of its own, one after the other: as `trial.ExecuteEach` has it."""
        request = pb.ExecuteBatchRequest(code=code, entry_point=entry_point, sharing=pb.BATCH_SHARING_NOTHING)
        for each in inputs:
            json_format.ParseDict(dict(each), request.inputs.add())
        _allow(request, timeout_s)
        most_s = timeout_s * len(inputs) + WAITING_S
        parts = await _patiently(lambda: ask_for_all(self._stub.ExecuteBatch, request, most_s))
        return [_execution_from(_run_from(result.outcome)) for part in parts for result in part.results]


def _allow(request: pb.ExecuteRequest | pb.ExecuteBatchRequest, timeout_s: float) -> None:
    request.limits.timeout.FromMilliseconds(max(10, int(timeout_s * 1000)))


async def _patiently(asked: Callable[[], Awaitable[Any]]) -> Any:
    """Ask, and again a little later where the sandbox is full."""
    wait_s, longest_s = QUEUE_WAIT_S
    for _ in range(QUEUE_TRIES):
        try:
            return await asked()
        except ResourceExhausted as error:
            if error.reason not in FULL:
                raise
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, longest_s)
    return await asked()


def _execution_from(run: SandboxRun) -> Execution:
    return Execution(run.ok, run.result, run.detail, run.memory_bytes)


def _run_from(response: pb.ExecuteResponse) -> SandboxRun:
    error = response.error
    return SandboxRun(
        status=pb.ExecutionStatus.Name(response.status).removeprefix("EXECUTION_STATUS_"),
        result=value_from(response.result),
        error=f"{error.type}: {error.message}" if error.type else "",
        stdout=response.stdout,
        seconds=response.duration_seconds,
        total_seconds=response.total_seconds,
        isolation=pb.IsolationLevel.Name(response.isolation).removeprefix("ISOLATION_LEVEL_"),
        memory_bytes=response.peak_memory_bytes,
    )
