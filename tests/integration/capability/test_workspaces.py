"""Settings, gates of the user's own, checks, and lists."""

from typing import TYPE_CHECKING, Any

import pytest

from autodev.capability.v1 import capability_service_pb2 as pb
from autodev_capability.gates import ALPHA_EVOLVER, BACKGROUND_EVOLUTION, MEMENTO_SKILLS
from autodev_runtime.identity import ALL_TENANTS, Role
from tests.integration.capability.parts import Parts, settings_on
from tests.serving import refusal
from tests.storage import Storage

if TYPE_CHECKING:
    from autodev.capability.v1.capability_service_pb2_grpc import CapabilityServiceAsyncStub as Stub
    from tests.integration.capability.conftest import Caller

DEFAULTS = pb.WorkspaceSettings(
    memento_skills=True,
    alpha_evolver=True,
    background_evolution=True,
    max_mutations_per_day=10,
    max_skill_candidates_per_day=5,
)


async def settings_of(stub: "Stub") -> pb.WorkspaceSettings:
    return (await stub.GetWorkspaceSettings(pb.GetWorkspaceSettingsRequest())).settings


async def check(stub: "Stub", capability: str, agent_id: str = "ada") -> pb.CheckCapabilityResponse:
    return await stub.CheckCapability(pb.CheckCapabilityRequest(agent_id=agent_id, capability=capability))


def gate(name: str, required: "pb.MaturityLevel.ValueType" = pb.MATURITY_LEVEL_INTERN, limit: int = 0) -> pb.Gate:
    return pb.Gate(capability=name, required=required, limit_per_agent_per_day=limit)


async def test_settings_are_the_defaults_until_someone_changes_them(operator: "Stub") -> None:
    assert await settings_of(operator) == DEFAULTS


async def test_settings_are_replaced_whole(operator: "Stub") -> None:
    first = settings_on(mutations=3, candidates=0)
    first.proposers.extend(["search", "case_bank"])
    first.auto_promote = True
    second = pb.WorkspaceSettings(enabled=True)
    for wanted in (first, second):
        answer = await operator.UpdateWorkspaceSettings(pb.UpdateWorkspaceSettingsRequest(settings=wanted))
        assert answer.settings == await settings_of(operator) == wanted


async def test_only_operators_change_settings_and_gates(caller: Any) -> None:
    for call in (
        caller("acme", Role.RUNTIME).UpdateWorkspaceSettings(pb.UpdateWorkspaceSettingsRequest(settings=settings_on())),
        caller("acme", Role.REVIEWER).RegisterGate(pb.RegisterGateRequest(gate=gate("acme.deploy"))),
    ):
        refused = await refusal(call)
        assert (refused.code, refused.reason) == ("PERMISSION_DENIED", "ROLE_REQUIRED")
    assert await settings_of(caller("acme")) == DEFAULTS


async def test_settings_of_one_tenant_are_not_anothers(enabled: "Stub", caller: Any) -> None:
    assert (await check(enabled, MEMENTO_SKILLS)).allowed
    answer = await check(caller("globex"), MEMENTO_SKILLS)
    assert (answer.allowed, answer.reason) == (False, pb.DENIAL_REASON_DISABLED)


async def test_a_check_says_what_it_was_decided_by(enabled: "Stub") -> None:
    answer = await check(enabled, MEMENTO_SKILLS, "newcomer")
    assert (answer.allowed, answer.reason) == (False, pb.DENIAL_REASON_MATURITY)
    assert (answer.required, answer.current) == (pb.MATURITY_LEVEL_INTERN, pb.MATURITY_LEVEL_STUDENT)
    assert answer.message == "auto_dev.memento_skills needs INTERN; agent newcomer is STUDENT"
    allowed = await check(enabled, MEMENTO_SKILLS)
    assert (allowed.allowed, allowed.reason, allowed.used, allowed.limit) == (True, pb.DENIAL_REASON_UNSPECIFIED, 0, 5)


async def test_an_unknown_capability_is_a_no(enabled: "Stub") -> None:
    answer = await check(enabled, "auto_dev.telepathy")
    assert (answer.allowed, answer.reason) == (False, pb.DENIAL_REASON_UNKNOWN_CAPABILITY)


async def test_a_check_takes_nothing(enabled: "Stub") -> None:
    for _ in range(20):
        assert (await check(enabled, MEMENTO_SKILLS)).used == 0


async def test_checks_see_a_change_of_settings_at_once(enabled: "Stub") -> None:
    assert (await check(enabled, MEMENTO_SKILLS)).allowed
    off = settings_on()
    off.memento_skills = False
    await enabled.UpdateWorkspaceSettings(pb.UpdateWorkspaceSettingsRequest(settings=off))
    assert (await check(enabled, MEMENTO_SKILLS)).reason == pb.DENIAL_REASON_DISABLED


async def test_a_gate_of_the_users_own_is_checked_and_limited_like_any(enabled: "Stub") -> None:
    assert not (await check(enabled, "acme.deploy")).allowed
    await enabled.RegisterGate(pb.RegisterGateRequest(gate=gate("acme.deploy", pb.MATURITY_LEVEL_SUPERVISED, 1)))
    assert (await check(enabled, "acme.deploy", "newcomer")).reason == pb.DENIAL_REASON_MATURITY
    assert (await check(enabled, "acme.deploy")).allowed
    await enabled.ReserveUsage(pb.ReserveUsageRequest(request_id="r", agent_id="ada", capability="acme.deploy"))
    answer = await check(enabled, "acme.deploy")
    assert (answer.reason, answer.used, answer.limit) == (pb.DENIAL_REASON_LIMIT, 1, 1)


async def test_registering_a_gate_again_changes_it(operator: "Stub") -> None:
    for limit in (1, 7):
        await operator.RegisterGate(pb.RegisterGateRequest(gate=gate("acme.deploy", limit=limit)))
    gates = (await operator.ListGates(pb.ListGatesRequest())).gates
    assert [each.limit_per_agent_per_day for each in gates if each.capability == "acme.deploy"] == [7]


async def test_a_step_up_unlocks_gates_of_the_users_own(operator: "Stub", parts: Parts) -> None:
    await operator.RegisterGate(pb.RegisterGateRequest(gate=gate("acme.deploy", pb.MATURITY_LEVEL_INTERN)))
    await operator.SetMaturity(pb.SetMaturityRequest(agent_id="ada", maturity=pb.MATURITY_LEVEL_INTERN))
    unlocked = {event.capability_unlocked.capability for event in await parts.events()}
    assert unlocked == {MEMENTO_SKILLS, "acme.deploy"}


async def test_built_in_gates_cannot_be_changed(operator: "Stub") -> None:
    refused = await refusal(
        operator.RegisterGate(pb.RegisterGateRequest(gate=gate(MEMENTO_SKILLS, pb.MATURITY_LEVEL_STUDENT)))
    )
    assert (refused.code, refused.reason) == ("FAILED_PRECONDITION", "BUILT_IN_GATE")


async def test_gates_of_another_tenant_are_not_there(operator: "Stub", caller: Any) -> None:
    await operator.RegisterGate(pb.RegisterGateRequest(gate=gate("acme.deploy")))
    other = caller("globex", Role.OPERATOR)
    assert len((await other.ListGates(pb.ListGatesRequest())).gates) == 3
    assert (await check(other, "acme.deploy")).reason == pb.DENIAL_REASON_UNKNOWN_CAPABILITY


@pytest.mark.parametrize("page_size", [1, 2, 3, 4, 100])
async def test_a_walk_through_the_gates_meets_each_once_built_in_ones_first(operator: "Stub", page_size: int) -> None:
    for name in ("zeta", "acme.deploy", "auto_dev.own"):
        await operator.RegisterGate(pb.RegisterGateRequest(gate=gate(name)))
    names, token = [], ""
    while True:
        page = await operator.ListGates(pb.ListGatesRequest(page_size=page_size, page_token=token))
        names += [each.capability for each in page.gates]
        token = page.next_page_token
        if not token:
            break
        assert len(page.gates) == page_size
    assert names == [ALPHA_EVOLVER, BACKGROUND_EVOLUTION, MEMENTO_SKILLS, "acme.deploy", "auto_dev.own", "zeta"]


async def test_a_walk_through_the_gates_meets_each_where_the_database_has_an_order_of_its_own(
    storage: Storage, caller: Any
) -> None:
    if storage.database is not None:
        its_own = 'ALTER TABLE gates ALTER capability TYPE varchar(128) COLLATE "en-US-x-icu"'
        await storage.alter("capability", its_own)
    operator = caller("acme", Role.OPERATOR)
    names = ["Zeta", "acme.deploy", "alpha"]
    for name in names:
        await operator.RegisterGate(pb.RegisterGateRequest(gate=gate(name)))
    walked, token = list[str](), ""
    while True:
        page = await operator.ListGates(pb.ListGatesRequest(page_size=1, page_token=token))
        walked += [each.capability for each in page.gates if not each.built_in]
        if not (token := page.next_page_token):
            break
    assert walked == names


@pytest.mark.parametrize("page_size", [1, 3, 7, 500])
async def test_walks_through_agents_and_changes_meet_each_once(operator: "Stub", page_size: int) -> None:
    wanted = [f"agent-{index}" for index in range(7)]
    for agent_id in reversed(wanted):
        await operator.SetMaturity(pb.SetMaturityRequest(agent_id=agent_id, maturity=pb.MATURITY_LEVEL_INTERN))
    agents: list[str] = []
    changed: list[str] = []
    token = ""
    while True:
        listed = await operator.ListAgents(pb.ListAgentsRequest(page_size=page_size, page_token=token))
        agents += [agent.id for agent in listed.agents]
        if not (token := listed.next_page_token):
            break
    while True:
        changes = await operator.ListMaturityChanges(
            pb.ListMaturityChangesRequest(page_size=page_size, page_token=token)
        )
        changed += [change.agent_id for change in changes.changes]
        if not (token := changes.next_page_token):
            break
    assert agents == changed == wanted


async def test_changes_of_one_agent(operator: "Stub") -> None:
    for agent_id in ("ada", "bob", "ada"):
        await operator.SetMaturity(pb.SetMaturityRequest(agent_id=agent_id, maturity=pb.MATURITY_LEVEL_INTERN))
    changes = (await operator.ListMaturityChanges(pb.ListMaturityChangesRequest(agent_id="ada"))).changes
    assert [change.agent_id for change in changes] == ["ada", "ada"]


@pytest.mark.parametrize("token", ["nonsense", "W10", "WzFd", "WyJhIiwiYiJd"])
async def test_a_token_that_no_list_gave_is_refused(operator: "Stub", token: str) -> None:
    for call in (
        operator.ListGates(pb.ListGatesRequest(page_token=token)),
        operator.ListMaturityChanges(pb.ListMaturityChangesRequest(page_token=token + "x")),
        operator.ListAgents(pb.ListAgentsRequest(page_token=token)),
    ):
        refused = await refusal(call)
        assert (refused.code, refused.fields) == ("INVALID_ARGUMENT", ["page_token"])


async def test_a_service_that_acts_for_all_tenants_is_told_that_one_is_needed(caller: "Caller") -> None:
    stub = caller(ALL_TENANTS, Role.SERVICE, subject="learning")
    for call in (
        stub.ListAgents(pb.ListAgentsRequest()),
        stub.GetAgent(pb.GetAgentRequest(agent_id="ada")),
        stub.GetWorkspaceSettings(pb.GetWorkspaceSettingsRequest()),
        stub.ReserveUsage(pb.ReserveUsageRequest(request_id="r", agent_id="ada", capability=MEMENTO_SKILLS)),
        stub.UpdateWorkspaceSettings(pb.UpdateWorkspaceSettingsRequest(settings=settings_on())),
    ):
        told = await refusal(call)
        assert (told.code, told.reason) == ("PERMISSION_DENIED", "TENANT_REQUIRED"), told
