"""The one taxonomy of errors. Domain code raises these; `pipeline.py` maps each once to a gRPC status with details.

Every error says what was wrong, carries a machine-readable `reason` (UPPER_SNAKE_CASE, the `reason` of
google.rpc.ErrorInfo) and `metadata`, and never a stack trace.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta


class AutoDevError(Exception):
    """Base of all errors that a caller is meant to see."""

    def __init__(self, message: str, *, reason: str, metadata: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.metadata = dict(metadata or {})


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One field of a request that breaks a rule: its path (`events[2].task_failed.code`) and the rule in words."""

    field: str
    description: str


class InvalidArgument(AutoDevError):
    """A request that can never be right, whatever the state."""

    def __init__(self, violations: list[FieldViolation]) -> None:
        summary = "; ".join(f"{each.field}: {each.description}" for each in violations[:5])
        super().__init__(f"invalid request: {summary}", reason="INVALID_ARGUMENT")
        self.violations = violations

    @classmethod
    def field(cls, field: str, description: str) -> "InvalidArgument":
        """One field at fault."""
        return cls([FieldViolation(field, description)])


class NotFound(AutoDevError):
    """No such thing in this tenant; another tenant's is not found either."""

    def __init__(self, kind: str, identifier: str) -> None:
        super().__init__(
            f"no {kind} {identifier!r}", reason="NOT_FOUND", metadata={"kind": kind, "id": identifier[:200]}
        )


class AlreadyExists(AutoDevError):
    """The thing to be made is there, made by another request."""

    def __init__(self, kind: str, identifier: str) -> None:
        super().__init__(f"{kind} {identifier!r} exists", reason="ALREADY_EXISTS", metadata={"kind": kind})


class FailedPrecondition(AutoDevError):
    """The state does not allow it; the request may be right later."""


class PermissionDenied(AutoDevError):
    """The caller is known and may not."""


class Unauthenticated(AutoDevError):
    """The caller is not known, or its credential has ended."""

    def __init__(self, message: str, *, reason: str = "UNAUTHENTICATED") -> None:
        super().__init__(message, reason=reason)


class OutOfRange(AutoDevError):
    """A position that is no longer, or not yet, there."""


class ResourceExhausted(AutoDevError):
    """A bound was met: a queue, a quota, a size."""

    def __init__(
        self,
        message: str,
        *,
        reason: str,
        metadata: Mapping[str, str] | None = None,
        retry_after: timedelta | None = None,
    ) -> None:
        super().__init__(message, reason=reason, metadata=metadata)
        self.retry_after = retry_after


class DeadlineExceeded(AutoDevError):
    """The call's time ran out."""

    def __init__(self, message: str = "the call's deadline passed") -> None:
        super().__init__(message, reason="DEADLINE_EXCEEDED")


class Unavailable(AutoDevError):
    """A part that is needed is away; try again."""

    def __init__(self, message: str, *, reason: str = "UNAVAILABLE") -> None:
        super().__init__(message, reason=reason)
