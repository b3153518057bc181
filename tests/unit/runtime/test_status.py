"""Errors to statuses and back."""

from datetime import timedelta

import grpc
import pytest
from google.rpc import status_pb2
from grpc_status import rpc_status

from autodev_runtime import errors
from autodev_runtime.status import code_name, code_of, error_from_rpc, status_of

ERRORS: list[errors.AutoDevError] = [
    errors.InvalidArgument.field("events[2].code", "is too long"),
    errors.NotFound("variant", "v-1"),
    errors.FailedPrecondition("not now", reason="NOT_NOW", metadata={"why": "busy"}),
    errors.PermissionDenied("not you", reason="ROLE_REQUIRED", metadata={"role": "operator"}),
    errors.OutOfRange("too old", reason="CURSOR_EXPIRED", metadata={"oldest_cursor": "7"}),
    errors.ResourceExhausted("enough", reason="QUOTA_EXCEEDED", metadata={"used": "5"}),
    errors.ResourceExhausted("full", reason="QUEUE_FULL", retry_after=timedelta(seconds=1.5)),
    errors.DeadlineExceeded("too late"),
]


def as_answered(status: status_pb2.Status) -> grpc.aio.AioRpcError:
    """The error that a client's call raises for a status."""
    code = next(each for each in grpc.StatusCode if each.value[0] == status.code)
    trailing = grpc.aio.Metadata(*rpc_status.to_status(status).trailing_metadata)
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailing, details=status.message)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_passes_through_a_service_unchanged(error: errors.AutoDevError) -> None:
    passed = error_from_rpc(as_answered(status_of(error)))
    assert type(passed) is type(error)
    assert (passed.message, passed.reason, passed.metadata) == (error.message, error.reason, error.metadata)
    if isinstance(error, errors.InvalidArgument) and isinstance(passed, errors.InvalidArgument):
        assert passed.violations == error.violations
    if isinstance(error, errors.ResourceExhausted) and isinstance(passed, errors.ResourceExhausted):
        assert passed.retry_after == error.retry_after


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.Unauthenticated("who?"), "UNAUTHENTICATED"),
        (errors.AlreadyExists("skill", "s"), "ALREADY_EXISTS"),
        (errors.Unavailable("away"), "UNAVAILABLE"),
        (ValueError("x"), "INTERNAL"),
    ],
)
def test_each_error_has_a_status(error: Exception, code: str) -> None:
    assert code_name(code_of(error)) == code_name(status_of(error).code) == code


def test_a_service_may_refine_an_error() -> None:
    class NoIsolation(errors.FailedPrecondition):
        """A refinement."""

    assert code_name(status_of(NoIsolation("no", reason="NO_ISOLATION")).code) == "FAILED_PRECONDITION"


@pytest.mark.parametrize("code", [grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNAVAILABLE])
def test_a_peers_own_failure_is_unavailable_here(code: grpc.StatusCode) -> None:
    answered = grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details="boom")
    assert isinstance(error_from_rpc(answered), errors.Unavailable)


def test_an_answer_without_details_keeps_its_message() -> None:
    answered = grpc.aio.AioRpcError(
        grpc.StatusCode.INVALID_ARGUMENT, grpc.aio.Metadata(), grpc.aio.Metadata(), details="bad"
    )
    passed = error_from_rpc(answered)
    assert isinstance(passed, errors.InvalidArgument)
    assert passed.violations == [errors.FieldViolation("request", "bad")]


def test_details_are_bounded() -> None:
    many = errors.InvalidArgument([errors.FieldViolation(f"f{index}", "bad") for index in range(10_000)])
    assert status_of(many).ByteSize() < 8192


def test_when_to_try_again_is_said() -> None:
    status = status_of(errors.ResourceExhausted("enough", reason="FULL", retry_after=timedelta(seconds=2)))
    assert [detail.TypeName() for detail in status.details] == ["google.rpc.ErrorInfo", "google.rpc.RetryInfo"]
