"""Trust that is earned and lost by events, and set by operators."""

import asyncio
from itertools import permutations
from typing import TYPE_CHECKING, Any

import pytest

from autodev.capability.v1 import capability_service_pb2 as pb
from autodev.gateway.v1 import event_pb2
from autodev_capability.forgetting import forget_old
from autodev_capability.gates import ALPHA_EVOLVER, BACKGROUND_EVOLUTION, MEMENTO_SKILLS
from autodev_capability.store.past_days import PastDays
from autodev_runtime.identity import Role
from autodev_sdk.events import event_type, make_event, uuid7
from tests.clock import Clock
from tests.integration.capability.parts import KEEP_DAYS, Parts, settings_on
from tests.serving import refusal

if TYPE_CHECKING:
    from autodev.capability.v1.capability_service_pb2_grpc import CapabilityServiceAsyncStub as Stub

UNSPECIFIED = pb.MATURITY_LEVEL_UNSPECIFIED
STUDENT, INTERN = pb.MATURITY_LEVEL_STUDENT, pb.MATURITY_LEVEL_INTERN
SUPERVISED, AUTONOMOUS = pb.MATURITY_LEVEL_SUPERVISED, pb.MATURITY_LEVEL_AUTONOMOUS
VERIFIED, SELF_REPORTED, REFUTED = (
    event_pb2.VERIFICATION_VERIFIED,
    event_pb2.VERIFICATION_SELF_REPORTED,
    event_pb2.VERIFICATION_REFUTED,
)


def task(
    verification: "event_pb2.Verification.ValueType" = VERIFIED,
    outcome: "event_pb2.Outcome.ValueType" = event_pb2.OUTCOME_SUCCESS,
    tenant: str = "acme",
    episode_id: str = "",
    agent_id: str = "ada",
) -> event_pb2.Event:
    payload = event_pb2.TaskEvent(
        episode_id=episode_id or uuid7(),
        agent_id=agent_id,
        task_description="add",
        outcome=outcome,
        verification=verification,
    )
    event = make_event(payload, agent_id=agent_id, correlation_id=payload.episode_id)
    event.tenant_id = tenant
    return event


def review(
    kind: "event_pb2.SubjectKind.ValueType",
    decision: "event_pb2.Decision.ValueType" = event_pb2.DECISION_APPROVED,
) -> event_pb2.Event:
    payload = event_pb2.ReviewDecided(review_id=uuid7(), subject_kind=kind, subject_id=uuid7(), decision=decision)
    event = make_event(payload, agent_id="ada")
    event.tenant_id = "acme"
    return event


async def deliver(parts: Parts, *events: event_pb2.Event) -> None:
    """Hand events to the service as its group gets them, with when they were recorded."""
    for event in events:
        if not event.HasField("recorded_at"):
            event.recorded_at.FromDatetime(parts.clock())
        await parts.listener.handlers[event_type(event)](event)


async def agent(stub: "Stub") -> pb.Agent:
    return (await stub.GetAgent(pb.GetAgentRequest(agent_id="ada"))).agent


async def set_level(
    stub: "Stub", level: "pb.MaturityLevel.ValueType", capability: str = "", reason: str = ""
) -> pb.Agent:
    request = pb.SetMaturityRequest(agent_id="ada", capability=capability, maturity=level, reason=reason)
    return (await stub.SetMaturity(request)).agent


async def unlocked(parts: Parts) -> list[tuple[str, str]]:
    return [
        (event.capability_unlocked.capability, event.capability_unlocked.maturity)
        for event in await parts.events()
        if event.HasField("capability_unlocked")
    ]


async def test_an_agent_that_was_never_heard_of_is_a_student(operator: "Stub") -> None:
    assert await agent(operator) == pb.Agent(id="ada", maturity=STUDENT)
    assert not (await operator.ListAgents(pb.ListAgentsRequest())).agents


async def test_verified_successes_graduate_an_agent_and_say_so_once_a_level(operator: "Stub", parts: Parts) -> None:
    for count, level in [(4, STUDENT), (5, INTERN), (19, INTERN), (20, SUPERVISED), (49, SUPERVISED), (50, AUTONOMOUS)]:
        while (await agent(operator)).verified_successes < count:
            await deliver(parts, task())
        assert (await agent(operator)).maturity == level
    assert await unlocked(parts) == [
        (MEMENTO_SKILLS, "INTERN"),
        (ALPHA_EVOLVER, "SUPERVISED"),
        (BACKGROUND_EVOLUTION, "AUTONOMOUS"),
    ]


async def test_an_unlock_is_about_its_agent_and_names_its_cause(operator: "Stub", parts: Parts) -> None:
    events = [task() for _ in range(5)]
    await deliver(parts, *events)
    (unlock,) = await parts.events()
    assert (unlock.tenant_id, unlock.agent_id) == ("acme", "ada")
    assert (unlock.causation_id, unlock.correlation_id) == (events[-1].id, events[-1].correlation_id)
    assert unlock.capability_unlocked.message.startswith("Good news: agent ada is INTERN now.")


async def test_an_unlock_says_whether_the_workspace_has_the_capability_on(operator: "Stub", parts: Parts) -> None:
    await set_level(operator, INTERN)
    await operator.UpdateWorkspaceSettings(pb.UpdateWorkspaceSettingsRequest(settings=settings_on()))
    await set_level(operator, SUPERVISED)
    off, on = (event.capability_unlocked.message for event in await parts.events())
    assert off.endswith("Auto-Dev is off in this workspace: turn on `enabled` in its settings.")
    assert on == "Good news: agent ada is SUPERVISED now. Auto-Dev may now improve its skills when you start it."


async def test_an_event_counts_once_however_often_it_is_delivered(operator: "Stub", parts: Parts) -> None:
    event = task()
    await asyncio.gather(*(deliver(parts, event) for _ in range(6)))
    assert (await agent(operator)).verified_successes == 1


async def test_an_episode_counts_once_however_many_events_say_so(operator: "Stub", parts: Parts) -> None:
    said = [SELF_REPORTED, VERIFIED] * 5
    await asyncio.gather(*(deliver(parts, task(each, episode_id="e")) for each in said))
    await deliver(parts, task(VERIFIED, episode_id="e"))
    assert await agent(operator) == pb.Agent(
        id="ada", maturity=STUDENT, verified_successes=1, self_reported_successes=1
    )


async def test_an_episode_is_its_agents(operator: "Stub", parts: Parts) -> None:
    await deliver(parts, task(episode_id="e"), task(REFUTED, episode_id="e", agent_id="bob"))
    assert (await agent(operator)).verified_successes == 1


@pytest.mark.parametrize("outcome", [event_pb2.OUTCOME_SUCCESS, event_pb2.OUTCOME_FAILURE])
@pytest.mark.parametrize("said", sorted(set(permutations([VERIFIED, VERIFIED, REFUTED, REFUTED]))))
async def test_a_refutation_has_the_last_word_of_an_episode_and_demotes_once(
    operator: "Stub",
    parts: Parts,
    said: tuple["event_pb2.Verification.ValueType", ...],
    outcome: "event_pb2.Outcome.ValueType",
) -> None:
    await deliver(parts, *(task() for _ in range(20)))
    for each in said:
        await deliver(parts, task(each, outcome if each == REFUTED else event_pb2.OUTCOME_SUCCESS, episode_id="e"))
    known = await agent(operator)
    assert (known.verified_successes, known.maturity) == (20, INTERN)
    changes = (await operator.ListMaturityChanges(pb.ListMaturityChangesRequest())).changes
    assert [change.changed_by for change in changes].count("demotion") == 1


async def test_two_replicas_that_hear_at_once_of_a_success_and_its_refutation_count_none(
    operator: "Stub", parts: Parts
) -> None:
    for number in range(5):
        await asyncio.gather(*(deliver(parts, task(each, episode_id=f"e{number}")) for each in (VERIFIED, REFUTED)))
    assert (await agent(operator)).verified_successes == 0


async def test_concurrent_events_all_count(operator: "Stub", parts: Parts) -> None:
    await asyncio.gather(*(deliver(parts, task()) for _ in range(25)))
    assert (await agent(operator)).verified_successes == 25
    assert (await agent(operator)).maturity == SUPERVISED


@pytest.mark.parametrize("verification", [SELF_REPORTED, event_pb2.VERIFICATION_UNSPECIFIED])
async def test_self_reported_successes_are_kept_and_count_for_nothing(
    operator: "Stub", parts: Parts, verification: "event_pb2.Verification.ValueType"
) -> None:
    await deliver(parts, *(task(verification) for _ in range(6)))
    assert await agent(operator) == pb.Agent(id="ada", maturity=STUDENT, self_reported_successes=6)
    assert await parts.events() == []


async def test_a_plain_failure_says_nothing_of_trust_but_that_there_is_the_agent(
    operator: "Stub", parts: Parts
) -> None:
    for _ in range(2):
        await deliver(parts, task(SELF_REPORTED, event_pb2.OUTCOME_FAILURE), task(VERIFIED, event_pb2.OUTCOME_PARTIAL))
    listed = (await operator.ListAgents(pb.ListAgentsRequest())).agents
    assert list(listed) == [pb.Agent(id="ada", maturity=STUDENT)]
    await set_level(operator, INTERN)
    await deliver(parts, task(SELF_REPORTED, event_pb2.OUTCOME_FAILURE))
    assert (await agent(operator)).maturity == INTERN


@pytest.mark.parametrize("outcome", [event_pb2.OUTCOME_SUCCESS, event_pb2.OUTCOME_FAILURE])
async def test_a_refuted_success_demotes_by_one_level_and_is_recorded(
    operator: "Stub", parts: Parts, outcome: "event_pb2.Outcome.ValueType"
) -> None:
    await set_level(operator, SUPERVISED)
    await deliver(parts, task(REFUTED, outcome))
    assert (await agent(operator)).maturity == INTERN
    change = (await operator.ListMaturityChanges(pb.ListMaturityChangesRequest())).changes[0]
    assert (getattr(change, "from"), change.to, change.changed_by) == (SUPERVISED, INTERN, "demotion")
    assert change.reason == "a runtime refuted a success that the agent reported"


@pytest.mark.parametrize(
    ("kind", "capability"),
    [
        (event_pb2.SUBJECT_KIND_CANDIDATE, MEMENTO_SKILLS),
        (event_pb2.SUBJECT_KIND_MUTATION, ALPHA_EVOLVER),
    ],
)
async def test_an_approval_counts_for_the_capability_that_made_it(
    operator: "Stub", parts: Parts, kind: "event_pb2.SubjectKind.ValueType", capability: str
) -> None:
    await deliver(parts, *(review(kind) for _ in range(20)))
    known = await agent(operator)
    assert known.maturity == STUDENT
    (own,) = known.capabilities
    assert (own.capability, own.maturity, own.verified_successes) == (capability, SUPERVISED, 20)
    assert [each for each, _ in await unlocked(parts)] == [capability]


async def test_a_rejection_or_a_review_of_nobodys_counts_for_nothing(operator: "Stub", parts: Parts) -> None:
    nobodys = review(event_pb2.SUBJECT_KIND_CANDIDATE)
    nobodys.agent_id = ""
    await deliver(parts, review(event_pb2.SUBJECT_KIND_CANDIDATE, event_pb2.DECISION_REJECTED), nobodys)
    assert not (await operator.ListAgents(pb.ListAgentsRequest())).agents


async def test_an_operators_level_holds_at_once_and_is_recorded_with_who_and_why(
    operator: "Stub", parts: Parts
) -> None:
    async def check() -> Any:
        return await operator.CheckCapability(pb.CheckCapabilityRequest(agent_id="ada", capability=MEMENTO_SKILLS))

    assert (await check()).current == STUDENT
    assert (await set_level(operator, INTERN, reason="knows the code base")).maturity == INTERN
    assert (await check()).current == INTERN
    (change,) = (await operator.ListMaturityChanges(pb.ListMaturityChangesRequest())).changes
    assert (change.changed_by, change.reason, change.capability) == ("olga", "knows the code base", "")
    assert change.changed_at.ToDatetime(parts.clock().tzinfo) == parts.clock()
    assert await unlocked(parts) == [(MEMENTO_SKILLS, "INTERN")]


async def test_an_operators_level_for_a_capability_is_not_the_agents(operator: "Stub", parts: Parts) -> None:
    await set_level(operator, AUTONOMOUS)
    known = await set_level(operator, STUDENT, ALPHA_EVOLVER)
    assert known.maturity == AUTONOMOUS
    assert [(each.capability, each.maturity) for each in known.capabilities] == [(ALPHA_EVOLVER, STUDENT)]
    changes = (await operator.ListMaturityChanges(pb.ListMaturityChangesRequest())).changes
    assert [change.capability for change in changes] == [ALPHA_EVOLVER, ""]


async def test_an_operators_level_for_a_capability_is_taken_back_and_that_is_recorded(
    operator: "Stub", parts: Parts
) -> None:
    await set_level(operator, SUPERVISED)
    await set_level(operator, STUDENT, ALPHA_EVOLVER)
    known = await set_level(operator, UNSPECIFIED, ALPHA_EVOLVER, reason="it was a mistake")
    assert known == await agent(operator) == pb.Agent(id="ada", maturity=SUPERVISED)
    request = pb.CheckCapabilityRequest(agent_id="ada", capability=ALPHA_EVOLVER)
    assert (await operator.CheckCapability(request)).current == SUPERVISED
    change = (await operator.ListMaturityChanges(pb.ListMaturityChangesRequest())).changes[0]
    assert (getattr(change, "from"), change.to, change.capability) == (STUDENT, SUPERVISED, ALPHA_EVOLVER)
    assert (change.changed_by, change.reason) == ("olga", "it was a mistake")
    assert (await unlocked(parts))[-1] == (ALPHA_EVOLVER, "SUPERVISED")


async def test_only_a_level_for_a_known_capability_is_taken_back(operator: "Stub", caller: Any) -> None:
    assert (await refusal(set_level(operator, UNSPECIFIED, "auto_dev.telepathy"))).code == "NOT_FOUND"
    nothing = await refusal(set_level(operator, UNSPECIFIED))
    assert (nothing.code, nothing.fields) == ("INVALID_ARGUMENT", ["maturity"])
    assert (await refusal(set_level(caller("acme"), UNSPECIFIED, ALPHA_EVOLVER))).reason == "ROLE_REQUIRED"


async def test_setting_the_level_it_has_is_recorded_too(operator: "Stub") -> None:
    for _ in range(2):
        await set_level(operator, INTERN)
    assert len((await operator.ListMaturityChanges(pb.ListMaturityChangesRequest())).changes) == 2


async def test_a_level_for_an_unknown_capability_is_refused_and_nothing_is_stored(operator: "Stub") -> None:
    assert (await refusal(set_level(operator, INTERN, "auto_dev.telepathy"))).code == "NOT_FOUND"
    assert not (await operator.ListAgents(pb.ListAgentsRequest())).agents


@pytest.mark.parametrize("roles", [(), (Role.RUNTIME,), (Role.REVIEWER,)])
async def test_only_operators_set_levels(caller: Any, roles: tuple[Role, ...]) -> None:
    refused = await refusal(set_level(caller("acme", *roles), AUTONOMOUS))
    assert (refused.code, refused.reason) == ("PERMISSION_DENIED", "ROLE_REQUIRED")
    assert (await agent(caller("acme"))).maturity == STUDENT


async def test_agents_of_one_name_in_two_tenants_are_two(operator: "Stub", caller: Any, parts: Parts) -> None:
    await deliver(parts, *(task(tenant="globex") for _ in range(5)))
    assert (await agent(operator)).verified_successes == 0
    assert (await agent(caller("globex"))).maturity == INTERN
    other = caller("globex", Role.OPERATOR)
    await set_level(other, SUPERVISED)
    assert (await agent(operator)).maturity == STUDENT
    assert not (await operator.ListMaturityChanges(pb.ListMaturityChangesRequest())).changes


async def test_an_event_counts_once_and_one_of_long_ago_not_at_all(
    operator: "Stub", parts: Parts, clock: Clock
) -> None:
    event = task()
    await deliver(parts, event)
    clock.advance(days=KEEP_DAYS)
    await deliver(parts, event)
    await forget_old(PastDays(parts.database), KEEP_DAYS, clock())
    await deliver(parts, event)
    assert (await agent(operator)).verified_successes == 1
    clock.advance(days=1)
    await forget_old(PastDays(parts.database), KEEP_DAYS, clock())
    # It is not known any more whether it was counted: a log that is read anew must not make agents trusted.
    await deliver(parts, event)
    assert (await agent(operator)).verified_successes == 1
    await deliver(parts, task())
    assert (await agent(operator)).verified_successes == 2
