"""Maps the error taxonomy to gRPC statuses with google.rpc details: the only place that knows both."""

import logging
import uuid
from datetime import timedelta
from typing import Any, NoReturn, cast

import grpc
from google.protobuf import any_pb2
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from autodev_runtime import errors

DOMAIN = "autodev"

_CODES: dict[type, int] = {
    errors.InvalidArgument: code_pb2.INVALID_ARGUMENT,
    errors.NotFound: code_pb2.NOT_FOUND,
    errors.AlreadyExists: code_pb2.ALREADY_EXISTS,
    errors.FailedPrecondition: code_pb2.FAILED_PRECONDITION,
    errors.PermissionDenied: code_pb2.PERMISSION_DENIED,
    errors.Unauthenticated: code_pb2.UNAUTHENTICATED,
    errors.OutOfRange: code_pb2.OUT_OF_RANGE,
    errors.ResourceExhausted: code_pb2.RESOURCE_EXHAUSTED,
    errors.DeadlineExceeded: code_pb2.DEADLINE_EXCEEDED,
    errors.Unavailable: code_pb2.UNAVAILABLE,
}
_TYPES = {code: kind for kind, code in _CODES.items()}

log = logging.getLogger(__name__)


def code_of(error: Exception) -> int:
    """The number of the status a client sees for an error."""
    return next((_CODES[kind] for kind in type(error).__mro__ if kind in _CODES), code_pb2.INTERNAL)


def code_name(code: int | grpc.StatusCode) -> str:
    """A status' name: "NOT_FOUND"."""
    return code.name if isinstance(code, grpc.StatusCode) else code_pb2.Code.Name(code)


def status_of(error: Exception) -> status_pb2.Status:
    """The status a client sees for an error. An error outside the taxonomy is logged whole and answered by an id."""
    if not isinstance(error, errors.AutoDevError):
        incident = uuid.uuid4().hex[:12]
        log.error("unexpected error, incident %s", incident, exc_info=error)
        return status_pb2.Status(
            code=code_pb2.INTERNAL, message=f"internal error; the service's log has it as incident {incident}"
        )
    details: list[Message] = [error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata)]
    if isinstance(error, errors.InvalidArgument):
        details.append(
            error_details_pb2.BadRequest(
                field_violations=[
                    error_details_pb2.BadRequest.FieldViolation(field=each.field, description=each.description)
                    for each in error.violations[:50]
                ]
            )
        )
    if isinstance(error, errors.ResourceExhausted) and error.retry_after is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromTimedelta(error.retry_after)
        details.append(retry)
    return status_pb2.Status(code=code_of(error), message=error.message, details=[_packed(each) for each in details])


async def abort(context: Any, error: Exception) -> NoReturn:
    """End the call with the error's status."""
    status = rpc_status.to_status(status_of(error))
    await context.abort(status.code, status.details, status.trailing_metadata)
    raise AssertionError("abort raises")


def error_from_rpc(error: grpc.aio.AioRpcError) -> errors.AutoDevError:
    """The taxonomy's error for one that a peer answered, so that it passes through a service unchanged."""
    status = rpc_status.from_call(error)
    info = _info_of(status)
    code, message = error.code().value[0], error.details() or error.code().name
    if code == code_pb2.NOT_FOUND:
        return errors.NotFound(info.metadata.get("kind", "thing"), info.metadata.get("id", ""))
    if code == code_pb2.INVALID_ARGUMENT:
        return errors.InvalidArgument(_violations_of(status) or [errors.FieldViolation("request", message)])
    kind = _TYPES.get(code, errors.Unavailable)
    reason, metadata = info.reason or error.code().name, dict(info.metadata)
    if kind is errors.ResourceExhausted:
        return errors.ResourceExhausted(message, reason=reason, metadata=metadata, retry_after=_retry_after_of(status))
    if kind in (errors.FailedPrecondition, errors.PermissionDenied, errors.OutOfRange):
        return kind(message, reason=reason, metadata=metadata)
    if kind is errors.DeadlineExceeded:
        return errors.DeadlineExceeded(message)
    return errors.Unavailable(f"a peer answered {error.code().name}: {message}")


def reason_of(error: grpc.aio.AioRpcError) -> str:
    """The reason that the answer states; "" where it states none, as where nobody of the mesh answered."""
    return str(_info_of(rpc_status.from_call(error)).reason)


def _packed(message: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed


def _info_of(status: status_pb2.Status | None) -> error_details_pb2.ErrorInfo:
    info = error_details_pb2.ErrorInfo()
    for detail in status.details if status is not None else ():
        if detail.Unpack(info):
            break
    return info


def _retry_after_of(status: status_pb2.Status | None) -> timedelta | None:
    retry = error_details_pb2.RetryInfo()
    for detail in status.details if status is not None else ():
        if detail.Unpack(retry):
            return cast(timedelta, retry.retry_delay.ToTimedelta())
    return None


def _violations_of(status: status_pb2.Status | None) -> list[errors.FieldViolation]:
    bad = error_details_pb2.BadRequest()
    for detail in status.details if status is not None else ():
        if detail.Unpack(bad):
            return [errors.FieldViolation(each.field, each.description) for each in bad.field_violations]
    return []
