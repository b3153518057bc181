"""CapabilityService: protobuf to domain and back."""

from dataclasses import dataclass
from typing import Any

from autodev.capability.v1 import capability_service_pb2 as pb
from autodev.capability.v1.capability_service_pb2_grpc import CapabilityServiceServicer
from autodev_capability.checks import Checks
from autodev_capability.gates import Decision, Denial, Gate, WorkspaceSettings
from autodev_capability.maturity import Agent, Maturity, MaturityChange
from autodev_capability.quota import DEFAULT_HOLD, Reservation, ReservationState
from autodev_capability.reservations import Reservations
from autodev_capability.standing import Standing
from autodev_capability.workspaces import Workspaces
from autodev_runtime.errors import InvalidArgument
from autodev_runtime.identity import Role, current_tenant, require_role
from autodev_runtime.paging import key_from, page_of, page_size
from autodev_runtime.request_ids import request_id

_DENIALS = {
    None: pb.DENIAL_REASON_UNSPECIFIED,
    Denial.DISABLED: pb.DENIAL_REASON_DISABLED,
    Denial.MATURITY: pb.DENIAL_REASON_MATURITY,
    Denial.LIMIT: pb.DENIAL_REASON_LIMIT,
    Denial.UNKNOWN: pb.DENIAL_REASON_UNKNOWN_CAPABILITY,
    Denial.CHECK: pb.DENIAL_REASON_CHECK,
    Denial.CHECK_AWAY: pb.DENIAL_REASON_CHECK,
}
_STATES = {
    ReservationState.RESERVED: pb.RESERVATION_STATE_RESERVED,
    ReservationState.COMMITTED: pb.RESERVATION_STATE_COMMITTED,
    ReservationState.RELEASED: pb.RESERVATION_STATE_RELEASED,
    # Its use was given back, which is what a caller needs to know.
    ReservationState.LAPSED: pb.RESERVATION_STATE_RELEASED,
}


@dataclass(frozen=True)
class CapabilityServicer(CapabilityServiceServicer):
    """See capability_service.proto."""

    checks: Checks
    reservations: Reservations
    standing: Standing
    workspaces: Workspaces

    async def CheckCapability(self, request: pb.CheckCapabilityRequest, context: Any) -> pb.CheckCapabilityResponse:
        return _check_response(await self.checks.check(current_tenant(), request.agent_id, request.capability))

    async def ReserveUsage(self, request: pb.ReserveUsageRequest, context: Any) -> pb.ReserveUsageResponse:
        await self.checks.require_gate(current_tenant(), request.agent_id, request.capability)
        hold_for = request.hold_for.ToTimedelta() if request.HasField("hold_for") else DEFAULT_HOLD
        kept, formerly = request_id(request.request_id)
        reservation = await self.reservations.reserve(
            current_tenant(), kept, request.agent_id, request.capability, hold_for, formerly
        )
        return pb.ReserveUsageResponse(
            reservation=_reservation_to_proto(reservation), used=reservation.used, limit=reservation.limit
        )

    async def CommitUsage(self, request: pb.CommitUsageRequest, context: Any) -> pb.CommitUsageResponse:
        reservation = await self.reservations.commit(current_tenant(), request.reservation_id)
        return pb.CommitUsageResponse(reservation=_reservation_to_proto(reservation))

    async def ReleaseUsage(self, request: pb.ReleaseUsageRequest, context: Any) -> pb.ReleaseUsageResponse:
        reservation = await self.reservations.release(current_tenant(), request.reservation_id)
        return pb.ReleaseUsageResponse(reservation=_reservation_to_proto(reservation))

    async def GetWorkspaceSettings(
        self, request: pb.GetWorkspaceSettingsRequest, context: Any
    ) -> pb.GetWorkspaceSettingsResponse:
        settings = await self.workspaces.settings(current_tenant())
        return pb.GetWorkspaceSettingsResponse(settings=_settings_to_proto(settings))

    async def UpdateWorkspaceSettings(
        self, request: pb.UpdateWorkspaceSettingsRequest, context: Any
    ) -> pb.UpdateWorkspaceSettingsResponse:
        caller = require_role(Role.OPERATOR)
        settings = await self.workspaces.change_settings(
            caller.tenant, _settings_from_proto(request.settings), caller.subject
        )
        return pb.UpdateWorkspaceSettingsResponse(settings=_settings_to_proto(settings))

    async def GetAgent(self, request: pb.GetAgentRequest, context: Any) -> pb.GetAgentResponse:
        return pb.GetAgentResponse(agent=_agent_to_proto(await self.standing.agent(current_tenant(), request.agent_id)))

    async def ListAgents(self, request: pb.ListAgentsRequest, context: Any) -> pb.ListAgentsResponse:
        size, key = page_size(request.page_size), key_from(request.page_token, str)
        agents = await self.standing.agents(current_tenant(), str(key[0]) if key else "", size + 1)
        page, token = page_of(agents, size, _agent_to_proto, lambda last: [last.id])
        return pb.ListAgentsResponse(agents=page, next_page_token=token)

    async def SetMaturity(self, request: pb.SetMaturityRequest, context: Any) -> pb.SetMaturityResponse:
        caller = require_role(Role.OPERATOR)
        whose, decided = (caller.tenant, request.agent_id, request.capability), (caller.subject, request.reason)
        if request.maturity:
            agent = await self.standing.set_level(*whose, Maturity(request.maturity), *decided)
        elif request.capability:
            agent = await self.standing.take_back_level(*whose, *decided)
        else:
            raise InvalidArgument.field("maturity", "is required, unless a capability's level is taken back")
        return pb.SetMaturityResponse(agent=_agent_to_proto(agent))

    async def ListMaturityChanges(
        self, request: pb.ListMaturityChangesRequest, context: Any
    ) -> pb.ListMaturityChangesResponse:
        size, key = page_size(request.page_size), key_from(request.page_token, int)
        changes = await self.standing.changes(
            current_tenant(), request.agent_id, int(key[0]) if key else None, size + 1
        )
        page, token = page_of(changes, size, lambda each: _change_to_proto(each[1]), lambda last: [last[0]])
        return pb.ListMaturityChangesResponse(changes=page, next_page_token=token)

    async def RegisterGate(self, request: pb.RegisterGateRequest, context: Any) -> pb.RegisterGateResponse:
        caller = require_role(Role.OPERATOR)
        stated = request.gate
        gate = Gate(stated.capability, Maturity(stated.required), stated.limit_per_agent_per_day)
        return pb.RegisterGateResponse(gate=_gate_to_proto(await self.workspaces.register_gate(caller.tenant, gate)))

    async def ListGates(self, request: pb.ListGatesRequest, context: Any) -> pb.ListGatesResponse:
        size, key = page_size(request.page_size), key_from(request.page_token, bool, str)
        after = Gate(str(key[1]), Maturity.STUDENT, built_in=bool(key[0])) if key else None
        gates = await self.workspaces.gates(current_tenant(), after, size + 1)
        page, token = page_of(gates, size, _gate_to_proto, lambda last: [last.built_in, last.capability])
        return pb.ListGatesResponse(gates=page, next_page_token=token)


def _level(level: Maturity | None) -> "pb.MaturityLevel.ValueType":
    # The levels are numbered as in the proto.
    return pb.MATURITY_LEVEL_UNSPECIFIED if level is None else pb.MaturityLevel.ValueType(level)


def _check_response(decision: Decision) -> pb.CheckCapabilityResponse:
    response = pb.CheckCapabilityResponse(
        allowed=decision.allowed,
        reason=_DENIALS[decision.denial],
        required=_level(decision.required),
        current=_level(decision.current),
        used=decision.used,
        limit=decision.limit.per_day if decision.limit is not None else 0,
        message=decision.message,
        check_away=decision.denial is Denial.CHECK_AWAY,
    )
    if decision.resets_at is not None:
        response.resets_at.FromDatetime(decision.resets_at)
    return response


def _reservation_to_proto(reservation: Reservation) -> pb.Reservation:
    message = pb.Reservation(
        id=reservation.id,
        agent_id=reservation.agent_id,
        capability=reservation.counter.capability,
        state=_STATES[reservation.state],
    )
    message.expire_time.FromDatetime(reservation.expires_at)
    return message


def _settings_to_proto(settings: WorkspaceSettings) -> pb.WorkspaceSettings:
    return pb.WorkspaceSettings(
        enabled=settings.enabled,
        memento_skills=settings.memento_skills,
        alpha_evolver=settings.alpha_evolver,
        background_evolution=settings.background_evolution,
        max_mutations_per_day=settings.max_mutations_per_day,
        max_skill_candidates_per_day=settings.max_skill_candidates_per_day,
        auto_promote=settings.auto_promote,
        proposers=settings.proposers,
        canary_percent=settings.canary_percent,
        cluster_failures=settings.cluster_failures,
    )


def _settings_from_proto(message: pb.WorkspaceSettings) -> WorkspaceSettings:
    return WorkspaceSettings(
        enabled=message.enabled,
        memento_skills=message.memento_skills,
        alpha_evolver=message.alpha_evolver,
        background_evolution=message.background_evolution,
        max_mutations_per_day=message.max_mutations_per_day,
        max_skill_candidates_per_day=message.max_skill_candidates_per_day,
        auto_promote=message.auto_promote,
        proposers=tuple(message.proposers),
        canary_percent=message.canary_percent,
        cluster_failures=message.cluster_failures,
    )


def _agent_to_proto(agent: Agent) -> pb.Agent:
    return pb.Agent(
        id=agent.id,
        maturity=_level(agent.progress.level),
        verified_successes=agent.verified_successes,
        self_reported_successes=agent.self_reported_successes,
        capabilities=[
            pb.CapabilityMaturity(
                capability=capability,
                maturity=_level(agent.level_for(capability)),
                verified_successes=standing.verified_successes,
            )
            for capability, standing in agent.capabilities.items()
            if standing.set_by_operator or standing.verified_successes
        ],
    )


def _change_to_proto(change: MaturityChange) -> pb.MaturityChange:
    message = pb.MaturityChange(
        agent_id=change.agent_id,
        capability=change.capability,
        to=_level(change.after),
        changed_by=change.changed_by,
        reason=change.reason,
        **{"from": _level(change.before)},  # type: ignore[arg-type]
    )
    message.changed_at.FromDatetime(change.changed_at)
    return message


def _gate_to_proto(gate: Gate) -> pb.Gate:
    return pb.Gate(
        capability=gate.capability,
        required=_level(gate.required),
        limit_per_agent_per_day=gate.limit_per_agent_per_day,
        built_in=gate.built_in,
    )
