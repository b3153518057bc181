"""Asks the capability service what an agent may do, and reserves its daily uses."""

from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING

from autodev.capability.v1 import capability_service_pb2 as pb
from autodev_runtime.clients import ask

if TYPE_CHECKING:
    from autodev.capability.v1.capability_service_pb2_grpc import CapabilityServiceAsyncStub


class Capability(StrEnum):
    """What an agent may be allowed to have done for it."""

    MEMENTO_SKILLS = "auto_dev.memento_skills"
    ALPHA_EVOLVER = "auto_dev.alpha_evolver"
    BACKGROUND_EVOLUTION = "auto_dev.background_evolution"


class Maturity(IntEnum):
    """How far an agent is trusted, lowest first."""

    UNKNOWN = 0
    STUDENT = 1
    INTERN = 2
    SUPERVISED = 3
    AUTONOMOUS = 4


class Denial(StrEnum):
    """Why something is not allowed."""

    DISABLED = "disabled"
    MATURITY = "maturity"
    LIMIT = "limit"
    UNKNOWN_CAPABILITY = "unknown capability"


_DENIALS = {
    pb.DENIAL_REASON_DISABLED: Denial.DISABLED,
    pb.DENIAL_REASON_MATURITY: Denial.MATURITY,
    pb.DENIAL_REASON_LIMIT: Denial.LIMIT,
}


@dataclass(frozen=True, slots=True)
class Permission:
    """Whether an agent may use a capability now; if not, why, and in a sentence."""

    denial: Denial | None
    maturity: Maturity
    message: str = ""

    @property
    def allowed(self) -> bool:
        return self.denial is None


@dataclass(frozen=True, slots=True)
class WorkspacePolicy:
    """The workspace's settings that the learning service goes by."""

    auto_promote: bool
    proposers: tuple[str, ...]
    """In order; none: all."""


class CapabilityClient:
    """Acts as the current identity. Every method raises Unavailable while the service is away, which means no."""

    def __init__(self, stub: "CapabilityServiceAsyncStub") -> None:
        self._stub = stub

    async def check(self, agent_id: str, capability: Capability) -> Permission:
        """Tell whether the agent may, and at which level it is. Takes nothing."""
        request = pb.CheckCapabilityRequest(agent_id=agent_id, capability=capability)
        answer = await ask(self._stub.CheckCapability, request)
        denial = None if answer.allowed else _DENIALS.get(answer.reason, Denial.UNKNOWN_CAPABILITY)
        return Permission(denial, Maturity(answer.current), answer.message)

    async def reserve(self, request_id: str, agent_id: str, capability: Capability, hold_for: timedelta) -> str:
        """Reserve one use of today; the reservation's id. The same request id again gives the first.

        Raises ResourceExhausted (QUOTA_EXCEEDED) and PermissionDenied.
        """
        request = pb.ReserveUsageRequest(request_id=request_id, agent_id=agent_id, capability=capability)
        request.hold_for.FromTimedelta(hold_for)
        answer = await ask(self._stub.ReserveUsage, request)
        reservation_id: str = answer.reservation.id
        return reservation_id

    async def commit(self, reservation_id: str) -> None:
        """Make a reservation final. Raises FailedPrecondition when it was released or has expired."""
        await ask(self._stub.CommitUsage, pb.CommitUsageRequest(reservation_id=reservation_id))

    async def release(self, reservation_id: str) -> None:
        """Give a reservation back. Raises FailedPrecondition when it was committed."""
        await ask(self._stub.ReleaseUsage, pb.ReleaseUsageRequest(reservation_id=reservation_id))

    async def policy(self) -> WorkspacePolicy:
        """The workspace's settings."""
        answer = await ask(self._stub.GetWorkspaceSettings, pb.GetWorkspaceSettingsRequest())
        return WorkspacePolicy(answer.settings.auto_promote, tuple(answer.settings.proposers))
