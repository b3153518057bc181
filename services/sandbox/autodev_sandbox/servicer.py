"""autodev.sandbox.v1 to the domain and back."""

import time
from dataclasses import fields
from typing import Any, Final, cast

from google.protobuf import json_format

from autodev.sandbox.v1 import sandbox_service_pb2 as pb
from autodev.sandbox.v1.sandbox_service_pb2_grpc import SandboxServiceServicer
from autodev_runtime.errors import FieldViolation, InvalidArgument
from autodev_runtime.structs import struct_from
from autodev_sandbox import metrics
from autodev_sandbox.dispatcher import Dispatcher
from autodev_sandbox.execution import (
    MIN_MEMORY_BYTES,
    Execution,
    ExecutionError,
    IsolationLevel,
    Limits,
    Outcome,
    Status,
)

STATUSES: Final = {status: pb.ExecutionStatus.Value(f"EXECUTION_STATUS_{status.name}") for status in Status}
LEVELS: Final = {level: pb.IsolationLevel.Value(f"ISOLATION_LEVEL_{level.name}") for level in IsolationLevel}
LEVELS_BACK: Final = {number: level for level, number in LEVELS.items()}
# The field of the request that asks for each limit.
LIMIT_FIELDS: Final = {
    "timeout_s": "timeout",
    "memory_bytes": "memory_bytes",
    "cpus": "cpus",
    "output_bytes": "output_bytes",
    "processes": "processes",
}


class SandboxServicer(SandboxServiceServicer):
    """Translates; the dispatcher decides."""

    def __init__(self, dispatcher: Dispatcher, ceiling: Limits) -> None:
        self._dispatcher = dispatcher
        self._ceiling = ceiling

    async def Execute(self, request: pb.ExecuteRequest, context: Any) -> pb.ExecuteResponse:
        started_s = time.monotonic()
        outcome = await self._dispatcher.execute(execution_from(request, self._ceiling))
        total_s = time.monotonic() - started_s
        metrics.count(outcome, total_s)
        return outcome_to_proto(outcome, total_s)

    async def GetSandboxStatus(self, request: pb.GetSandboxStatusRequest, context: Any) -> pb.GetSandboxStatusResponse:
        default = self._dispatcher.default_level()
        return pb.GetSandboxStatusResponse(
            levels=[
                pb.IsolationLevelStatus(level=LEVELS[each.level], available=each.available, detail=each.detail)
                for each in self._dispatcher.statuses()
            ],
            default_isolation=LEVELS[default] if default else pb.ISOLATION_LEVEL_UNSPECIFIED,
            running=self._dispatcher.running,
            waiting=self._dispatcher.waiting,
        )


def execution_from(request: pb.ExecuteRequest, ceiling: Limits) -> Execution:
    """The execution that a request asks for. Raises InvalidArgument for more than the ceiling."""
    return Execution(
        code=request.code,
        entry_point=request.entry_point,
        inputs=struct_from(request.inputs),
        limits=limits_from(request.limits, ceiling),
        minimum=LEVELS_BACK.get(request.min_isolation),
    )


def limits_from(asked: pb.ExecutionLimits, ceiling: Limits) -> Limits:
    given = {
        "timeout_s": asked.timeout.ToTimedelta().total_seconds() if asked.HasField("timeout") else 0,
        "memory_bytes": asked.memory_bytes,
        "cpus": asked.cpus,
        "output_bytes": asked.output_bytes,
        "processes": asked.processes,
    }
    violations = [
        FieldViolation(f"limits.{LIMIT_FIELDS[name]}", f"is {value}; this service allows {getattr(ceiling, name)}")
        for name, value in given.items()
        if value > getattr(ceiling, name)
    ]
    if 0 < asked.memory_bytes < MIN_MEMORY_BYTES:
        violations.append(FieldViolation("limits.memory_bytes", f"is less than Python takes, {MIN_MEMORY_BYTES}"))
    if violations:
        raise InvalidArgument(violations)
    usual = Limits()
    defaults = {each.name: min(getattr(usual, each.name), getattr(ceiling, each.name)) for each in fields(Limits)}
    return Limits(**(defaults | {name: value for name, value in given.items() if value}))


def outcome_to_proto(outcome: Outcome, total_s: float) -> pb.ExecuteResponse:
    response = pb.ExecuteResponse(
        status=STATUSES[outcome.status],
        stdout=outcome.stdout,
        stderr=outcome.stderr,
        exit_code=outcome.exit_code,
        duration_seconds=outcome.duration_s,
        peak_memory_bytes=outcome.peak_memory_bytes,
        isolation=LEVELS[outcome.level],
        total_seconds=total_s,
        error=error_to_proto(outcome.error) if outcome.error else None,
    )
    if outcome.status is Status.OK:
        json_format.ParseDict(cast(Any, outcome.value), response.result)
    return response


def error_to_proto(error: ExecutionError) -> pb.ExecutionError:
    return pb.ExecutionError(type=error.type, message=error.message, traceback=error.traceback)
