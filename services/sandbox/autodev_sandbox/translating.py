"""autodev.sandbox.v1 to the domain and back."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from functools import cache
from typing import Any, Final

from autodev.sandbox.v1 import sandbox_service_pb2 as pb
from autodev_runtime.errors import FieldViolation, InvalidArgument
from autodev_runtime.structs import fill_value, struct_from
from autodev_sandbox.backends import Facility, PoolStatus
from autodev_sandbox.ceiling import Ceiling
from autodev_sandbox.dispatcher import Sharing
from autodev_sandbox.execution import (
    MIN_MEMORY_BYTES,
    CallOutcome,
    Calls,
    Execution,
    ExecutionError,
    IsolationLevel,
    Limits,
    Outcome,
    Status,
)
from autodev_sandbox.levels import LevelStatus
from autodev_sandbox.paths import flaws_of

STATUSES: Final = {status: pb.ExecutionStatus.Value(f"EXECUTION_STATUS_{status.name}") for status in Status}
LEVELS: Final = {level: pb.IsolationLevel.Value(f"ISOLATION_LEVEL_{level.name}") for level in IsolationLevel}
LEVELS_BACK: Final = {number: level for level, number in LEVELS.items()}
SHARINGS: Final = {pb.BATCH_SHARING_INTERPRETER: Sharing.INTERPRETER}
DOUBLE_BYTES: Final = 8
# What an answer that is too large goes without, in turn.
LEFT_OUT: Final = (("result", "output_files"), ("stdout", "stderr", "error"))
# The field of the request that asks for each limit.
LIMIT_FIELDS: Final = {
    "timeout_s": "timeout",
    "memory_bytes": "memory_bytes",
    "cpus": "cpus",
    "output_bytes": "output_bytes",
    "processes": "processes",
}


def execution_from(request: pb.ExecuteRequest, ceiling: Ceiling) -> Execution:
    """The execution that a request asks for. Raises InvalidArgument for more than the ceiling."""
    violations = [*_limit_violations(request.limits, ceiling.limits), *_file_violations(request, ceiling.limits)]
    if violations:
        raise InvalidArgument(violations)
    return Execution(
        code=request.code,
        entry_point=request.entry_point,
        inputs=struct_from(request.inputs),
        limits=_limits_from(request.limits, ceiling.limits),
        minimum=LEVELS_BACK.get(request.min_isolation),
        input_files={file.path: file.content for file in request.input_files},
        output_files=tuple(request.output_files),
    )


def calls_from(request: pb.ExecuteBatchRequest, ceiling: Ceiling) -> Calls:
    """The calls that a batch asks for. Raises InvalidArgument for more than the ceiling."""
    violations = _limit_violations(request.limits, ceiling.limits)
    if len(request.inputs) > ceiling.batch_inputs:
        told = f"has {len(request.inputs)} entries; this service allows {ceiling.batch_inputs}"
        violations.append(FieldViolation("inputs", told))
    if violations:
        raise InvalidArgument(violations)
    return Calls(
        code=request.code,
        entry_point=request.entry_point,
        inputs=list(map(struct_from, request.inputs)),
        limits=_limits_from(request.limits, ceiling.limits),
        minimum=LEVELS_BACK.get(request.min_isolation),
        warmup=request.warmup,
        repeat=request.repeat or 1,
    )


def sharing_from(request: pb.ExecuteBatchRequest) -> Sharing:
    return SHARINGS.get(request.sharing, Sharing.NOTHING)


@contextmanager
def within(field: str) -> Iterator[None]:
    """What is wrong in the block is wrong within that field."""
    try:
        yield
    except InvalidArgument as error:
        raise InvalidArgument(
            [FieldViolation(f"{field}.{each.field}", each.description) for each in error.violations]
        ) from None


def response_from(outcome: Outcome, total_s: float, most_bytes: int) -> pb.ExecuteResponse:
    """The answer. What is larger is more than was allowed: without value and files, and where that is not enough,
    without what was printed and raised."""
    response = pb.ExecuteResponse(
        status=STATUSES[outcome.status],
        stdout=outcome.stdout,
        stderr=outcome.stderr,
        exit_code=outcome.exit_code,
        duration_seconds=outcome.duration_s,
        peak_memory_bytes=outcome.peak_memory_bytes,
        isolation=LEVELS[outcome.level],
        total_seconds=total_s,
        error=_error_from(outcome.error) if outcome.error else None,
    )
    if outcome.status is Status.OK:
        fill_value(response.result, outcome.value)
    response.output_files.extend(pb.File(path=path, content=data) for path, data in outcome.files.items())
    for left_out in LEFT_OUT:
        if response.ByteSize() <= most_bytes:
            break
        response.status = pb.EXECUTION_STATUS_OUTPUT_LIMIT
        for name in left_out:
            response.ClearField(name)
    return response


def result_from(call: CallOutcome, ceiling: Ceiling) -> pb.InputResult:
    most_bytes = ceiling.answer_bytes - DOUBLE_BYTES * len(call.call_s)
    return pb.InputResult(
        index=call.index,
        outcome=response_from(call.outcome, sum(call.call_s), most_bytes),
        call_seconds=call.call_s,
        varied=call.varied,
    )


def level_from(status: LevelStatus) -> pb.IsolationLevelStatus:
    return pb.IsolationLevelStatus(
        level=LEVELS[status.level],
        available=status.available,
        detail=status.detail,
        facilities=map(_facility_from, status.facilities),
        pool=_pool_from(status.pool),
    )


def _limits_from(asked: pb.ExecutionLimits, ceiling: Limits) -> Limits:
    given = {name: value for name, value in _asked(asked).items() if value}
    return replace(_defaults(ceiling), **given) if given else _defaults(ceiling)


@cache
def _defaults(ceiling: Limits) -> Limits:
    usual = Limits()
    least = {each.name: min(getattr(usual, each.name), getattr(ceiling, each.name)) for each in fields(Limits)}
    return Limits(**(least | {"file_bytes": ceiling.file_bytes}))


def _limit_violations(asked: pb.ExecutionLimits, ceiling: Limits) -> list[FieldViolation]:
    violations = [
        FieldViolation(f"limits.{LIMIT_FIELDS[name]}", f"is {value}; this service allows {getattr(ceiling, name)}")
        for name, value in _asked(asked).items()
        if value > getattr(ceiling, name)
    ]
    if 0 < asked.memory_bytes < MIN_MEMORY_BYTES:
        violations.append(FieldViolation("limits.memory_bytes", f"is less than Python takes, {MIN_MEMORY_BYTES}"))
    return violations


def _asked(asked: pb.ExecutionLimits) -> dict[str, Any]:
    return {
        "timeout_s": asked.timeout.ToTimedelta().total_seconds() if asked.HasField("timeout") else 0,
        "memory_bytes": asked.memory_bytes,
        "cpus": asked.cpus,
        "output_bytes": asked.output_bytes,
        "processes": asked.processes,
    }


def _file_violations(request: pb.ExecuteRequest, ceiling: Limits) -> Iterator[FieldViolation]:
    yield from _path_violations([file.path for file in request.input_files], "input_files[{}].path")
    yield from _path_violations(request.output_files, "output_files[{}]")
    size = sum(len(file.content) for file in request.input_files)
    if size > ceiling.file_bytes:
        yield FieldViolation("input_files", f"hold {size} bytes; this service allows {ceiling.file_bytes}")


def _path_violations(paths: Sequence[str], field: str) -> Iterator[FieldViolation]:
    for index, flaw in flaws_of(paths):
        yield FieldViolation(field.format(index), flaw)


def _error_from(error: ExecutionError) -> pb.ExecutionError:
    return pb.ExecutionError(type=error.type, message=error.message, traceback=error.traceback)


def _facility_from(facility: Facility) -> pb.Facility:
    return pb.Facility(name=facility.name, available=facility.available, detail=facility.detail)


def _pool_from(pool: PoolStatus) -> pb.PoolStatus:
    return pb.PoolStatus(
        ready=pool.ready,
        starting=pool.starting,
        in_use=pool.in_use,
        ending=pool.ending,
        floor=pool.floor,
        ceiling=pool.ceiling,
    )
