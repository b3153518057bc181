"""What an agent may do and how often, asked of the capability service: the only module that knows its contract."""

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum, StrEnum
from functools import partial
from typing import TYPE_CHECKING

from autodev.capability.v1 import capability_service_pb2 as pb
from autodev_runtime.clients import ask
from autodev_runtime.errors import AutoDevError, FailedPrecondition, PermissionDenied, Unavailable
from autodev_runtime.identity import acting_as, current_tenant, service_identity
from autodev_runtime.request_ids import REUSED

if TYPE_CHECKING:
    from autodev.capability.v1.capability_service_pb2_grpc import CapabilityServiceAsyncStub

log = logging.getLogger(__name__)

MOST_RESERVATIONS = 20
UNDONE = ("RESERVATION_RELEASED", "RESERVATION_EXPIRED")


class Capability(StrEnum):
    """What is gated here."""

    MEMENTO_SKILLS = "auto_dev.memento_skills"
    ALPHA_EVOLVER = "auto_dev.alpha_evolver"
    BACKGROUND_EVOLUTION = "auto_dev.background_evolution"


class Denial(Enum):
    """Why a capability is not allowed. The value is the reason in an error's details."""

    DISABLED = "CAPABILITY_DISABLED"
    MATURITY = "MATURITY_TOO_LOW"
    LIMIT = "QUOTA_EXCEEDED"
    UNKNOWN_CAPABILITY = "UNKNOWN_CAPABILITY"
    CHECK = "GATE_REFUSED"
    """The check of a gate of the user's own says no; or a later release has another reason."""


_DENIALS = {
    pb.DENIAL_REASON_DISABLED: Denial.DISABLED,
    pb.DENIAL_REASON_MATURITY: Denial.MATURITY,
    pb.DENIAL_REASON_LIMIT: Denial.LIMIT,
    pb.DENIAL_REASON_UNKNOWN_CAPABILITY: Denial.UNKNOWN_CAPABILITY,
    pb.DENIAL_REASON_CHECK: Denial.CHECK,
}


@dataclass(frozen=True)
class Permission:
    """Whether an agent may use a capability now. `denial` is None where it may; `message` says it in a sentence."""

    denial: Denial | None
    message: str

    @property
    def allowed(self) -> bool:
        return self.denial is None

    @property
    def allowed_another_day(self) -> bool:
        """Whether at most the day's limit stands in the way."""
        return self.denial in (None, Denial.LIMIT)


@dataclass(frozen=True)
class Workspace:
    """The settings of the tenant's workspace that learning obeys. No `proposers`: all of them.

    `canary_share`: of a skill's executions, that run a version on trial; 0 where the service's own setting holds.
    """

    enabled: bool
    auto_promote: bool
    proposers: tuple[str, ...]
    canary_share: float = 0.0
    cluster_failures: bool = False


@dataclass
class Use:
    """A use of a capability that is reserved, until it is taken."""

    _take: Callable[[], Awaitable[None]]
    taking: bool = field(default=False, init=False)

    async def take(self) -> None:
        """Make it final; see `Capabilities.take`. From now on it is not given back, whatever this ends by."""
        self.taking = True
        await self._take()


class Capabilities:
    """The capability service, as the rules use it. Every answer is about the current identity's tenant."""

    def __init__(self, stub: "CapabilityServiceAsyncStub", hold: timedelta) -> None:
        self._stub = stub
        self._hold = hold

    async def check(self, agent_id: str, capability: Capability) -> Permission:
        """Whether the agent may use the capability now. Takes nothing.

        Raises Unavailable (GATE_AWAY) where the check of a gate of the user's own cannot be asked: what is given up by
        a no would be lost for good.
        """
        answer = await ask(
            self._stub.CheckCapability, pb.CheckCapabilityRequest(agent_id=agent_id, capability=capability)
        )
        if answer.allowed:
            return Permission(None, answer.message)
        if answer.check_away:
            raise Unavailable(answer.message, reason="GATE_AWAY")
        return Permission(_DENIALS.get(answer.reason, Denial.CHECK), answer.message)

    async def demand(self, agent_id: str, capability: Capability) -> None:
        """Raise PermissionDenied (reasons of `Denial`) unless the agent may. Raises Unavailable as `check` does.

        The day's limit is no matter here: it stops what is reserved.
        """
        permission = await self.check(agent_id, capability)
        if permission.denial is not None and permission.denial is not Denial.LIMIT:
            raise PermissionDenied(permission.message, reason=permission.denial.value)

    @asynccontextmanager
    async def use(self, request_id: str, agent_id: str, capability: Capability) -> AsyncIterator[Use]:
        """Reserve one use for today, for work that takes it once it is done, and only then writes what it made.

        What is written before could be past the limit: another replica with the same work may have given the
        reservation back. A crash in between leaves a use that the next try finds taken. Whatever ends the work before,
        a cancelled call too, it left nothing that could count, and the reservation is given back.

        Raises ResourceExhausted (QUOTA_EXCEEDED) and PermissionDenied.
        """
        reservation_id = await self.reserve(request_id, agent_id, capability)
        use = Use(partial(self.take, request_id, agent_id, capability))
        try:
            yield use
        finally:
            if not use.taking:
                await asyncio.shield(self._give_back(reservation_id))

    async def _give_back(self, reservation_id: str) -> None:
        try:
            await self.release(reservation_id)
        except AutoDevError as error:
            log.info("a reservation is left to lapse: %s", error)

    async def reserve(self, request_id: str, agent_id: str, capability: Capability) -> str:
        """Reserve one use for today and give the reservation's id; the same request again gives the same one.

        One that was released since, or was made for another agent, is replaced. Raises ResourceExhausted
        (QUOTA_EXCEEDED) and PermissionDenied.
        """
        for number in range(1, MOST_RESERVATIONS + 1):
            numbered = request_id if number == 1 else f"{request_id}:{number}"
            request = pb.ReserveUsageRequest(request_id=numbered, agent_id=agent_id, capability=capability)
            request.hold_for.FromTimedelta(self._hold)
            try:
                # As the service: a caller's own requests are kept apart from these, whose ids it can guess.
                with acting_as(service_identity("learning", current_tenant())):
                    reservation = (await ask(self._stub.ReserveUsage, request)).reservation
            except FailedPrecondition as error:
                if error.reason != REUSED:
                    raise
                continue
            if reservation.state != pb.RESERVATION_STATE_RELEASED:
                return str(reservation.id)
        raise FailedPrecondition(
            f"{MOST_RESERVATIONS} reservations of request {request_id!r} were released or others'",
            reason="RESERVATION_RELEASED",
        )

    async def take(self, request_id: str, agent_id: str, capability: Capability) -> None:
        """Make a request's use of today final: once, however often this is called.

        Where its reservation was given back or lapsed meanwhile, it takes another one, if the limit allows. Raises
        ResourceExhausted (QUOTA_EXCEEDED) and PermissionDenied.
        """
        for _ in range(MOST_RESERVATIONS):
            reservation_id = await self.reserve(request_id, agent_id, capability)
            try:
                await ask(self._stub.CommitUsage, pb.CommitUsageRequest(reservation_id=reservation_id))
            except FailedPrecondition as error:
                if error.reason not in UNDONE:
                    raise
            else:
                return
        raise Unavailable(f"the reservations of request {request_id!r} are given back as they are made")

    async def release(self, reservation_id: str) -> None:
        """Give a reservation back. Raises FailedPrecondition (RESERVATION_COMMITTED)."""
        await ask(self._stub.ReleaseUsage, pb.ReleaseUsageRequest(reservation_id=reservation_id))

    async def workspace(self) -> Workspace:
        """The workspace's settings."""
        settings = (await ask(self._stub.GetWorkspaceSettings, pb.GetWorkspaceSettingsRequest())).settings
        share = settings.canary_percent / 100
        return Workspace(
            settings.enabled, settings.auto_promote, tuple(settings.proposers), share, settings.cluster_failures
        )


def reservation_key(kind: str, request_id: str) -> str:
    """What makes the use of a caller's request unique.

    A request id may be as long as an identifier, and a reservation's has a kind before it and a number behind it.
    """
    return f"{kind}-{hashlib.sha256(request_id.encode()).hexdigest()[:40]}"
