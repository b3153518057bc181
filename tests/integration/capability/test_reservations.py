"""Taking uses of a capability."""

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from autodev.capability.v1 import capability_service_pb2 as pb
from autodev_capability.gates import ALPHA_EVOLVER, BACKGROUND_EVOLUTION, MEMENTO_SKILLS, WorkspaceSettings
from autodev_capability.maturity import Maturity
from autodev_runtime.errors import ResourceExhausted, Unavailable
from autodev_runtime.identity import Role
from tests.clock import Clock
from tests.integration.capability.parts import Parts, replica, settings_on
from tests.serving import refusal, refusal_of
from tests.storage import Storage

if TYPE_CHECKING:
    from autodev.capability.v1.capability_service_pb2_grpc import CapabilityServiceAsyncStub as Stub


async def reserve(
    stub: "Stub", request_id: str, capability: str = MEMENTO_SKILLS, agent_id: str = "ada", hold_s: int = 0
) -> pb.ReserveUsageResponse:
    request = pb.ReserveUsageRequest(request_id=request_id, agent_id=agent_id, capability=capability)
    if hold_s:
        request.hold_for.CopyFrom(Duration(seconds=hold_s))
    return await stub.ReserveUsage(request)


def commit(stub: "Stub", reservation_id: str) -> Any:
    return stub.CommitUsage(pb.CommitUsageRequest(reservation_id=reservation_id))


def release(stub: "Stub", reservation_id: str) -> Any:
    return stub.ReleaseUsage(pb.ReleaseUsageRequest(reservation_id=reservation_id))


async def check(stub: "Stub", capability: str = MEMENTO_SKILLS, agent_id: str = "ada") -> pb.CheckCapabilityResponse:
    return await stub.CheckCapability(pb.CheckCapabilityRequest(agent_id=agent_id, capability=capability))


async def test_a_thousand_concurrent_reservations_on_a_limit_of_ten_are_granted_ten(
    enabled: "Stub", storage: Storage
) -> None:
    # A gRPC server cancels a call that it could not take up for 30 s, which a slow machine takes for all at once.
    at_once = asyncio.Semaphore(1000 if storage.database is None else 200)

    async def outcome(index: int) -> str:
        try:
            async with at_once:
                await reserve(enabled, f"request-{index}", ALPHA_EVOLVER)
        except grpc.aio.AioRpcError as error:
            refused = refusal_of(error)
            return f"{refused.code} {refused.reason}"
        return "granted"

    outcomes = await asyncio.gather(*(outcome(index) for index in range(1000)))
    assert {each: outcomes.count(each) for each in outcomes} == {
        "granted": 10,
        "RESOURCE_EXHAUSTED QUOTA_EXCEEDED": 990,
    }
    assert (await check(enabled, ALPHA_EVOLVER)).used == 10


async def test_replicas_grant_the_limit_between_them(storage: Storage, clock: Clock) -> None:
    async with replica(storage, clock) as one, replica(storage, clock) as other:
        await one.standing.set_level("acme", "ada", "", Maturity.SUPERVISED, "olga", "")
        await one.workspaces.change_settings("acme", WorkspaceSettings(enabled=True), "olga")

        async def granted(index: int) -> bool:
            try:
                await (one, other)[index % 2].reservations.reserve("acme", f"r{index}", "ada", ALPHA_EVOLVER)
            except ResourceExhausted:
                return False
            return True

        assert sum(await asyncio.gather(*(granted(index) for index in range(100)))) == 10


async def test_the_same_request_is_granted_once_however_often_and_fast_it_comes(enabled: "Stub") -> None:
    answers = await asyncio.gather(*(reserve(enabled, "same") for _ in range(20)))
    assert len({answer.SerializeToString() for answer in answers}) == 1
    assert (await check(enabled)).used == 1


async def test_a_refused_request_may_be_tried_again(enabled: "Stub", clock: Clock) -> None:
    for index in range(5):
        await reserve(enabled, f"r{index}")
    assert (await refusal(reserve(enabled, "late"))).code == "RESOURCE_EXHAUSTED"
    clock.advance(days=1)
    assert (await reserve(enabled, "late")).used == 1


async def test_a_refusal_says_how_many_of_what_until_when(enabled: "Stub") -> None:
    for index in range(5):
        await reserve(enabled, f"r{index}")
    refused = await refusal(reserve(enabled, "one-more"))
    assert (refused.code, refused.reason) == ("RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED")
    assert refused.metadata == {"used": "5", "limit": "5", "resets_at": "2025-11-25T00:00:00+00:00"}
    assert refused.retry_after_s == 12 * 3600


async def test_a_commit_is_final_and_may_be_repeated(enabled: "Stub", clock: Clock) -> None:
    reservation = (await reserve(enabled, "r")).reservation
    assert reservation.state == pb.RESERVATION_STATE_RESERVED
    first = await commit(enabled, reservation.id)
    assert first.reservation.state == pb.RESERVATION_STATE_COMMITTED
    assert await commit(enabled, reservation.id) == first
    refused = await refusal(release(enabled, reservation.id))
    assert (refused.code, refused.reason) == ("FAILED_PRECONDITION", "RESERVATION_COMMITTED")
    clock.advance(hours=1)
    assert (await check(enabled)).used == 1


async def test_a_release_gives_the_use_back_once(enabled: "Stub") -> None:
    await reserve(enabled, "kept")
    reservation = (await reserve(enabled, "given-back")).reservation
    first = await release(enabled, reservation.id)
    assert first.reservation.state == pb.RESERVATION_STATE_RELEASED
    assert await release(enabled, reservation.id) == first
    assert (await check(enabled)).used == 1
    refused = await refusal(commit(enabled, reservation.id))
    assert (refused.code, refused.reason) == ("FAILED_PRECONDITION", "RESERVATION_RELEASED")


async def test_concurrent_releases_give_one_use_back(enabled: "Stub") -> None:
    await reserve(enabled, "kept")
    reservation = (await reserve(enabled, "given-back")).reservation
    await asyncio.gather(*(release(enabled, reservation.id) for _ in range(10)))
    assert (await check(enabled)).used == 1


async def test_a_lapsed_reservation_gives_its_use_back(enabled: "Stub", clock: Clock) -> None:
    for index in range(5):
        await reserve(enabled, f"r{index}", hold_s=60)
    assert not (await check(enabled)).allowed
    clock.advance(seconds=60)
    assert (await check(enabled)).used == 0
    assert (await reserve(enabled, "next")).used == 1


async def test_a_lapsed_reservation_cannot_be_committed_and_releasing_it_changes_nothing(
    enabled: "Stub", clock: Clock
) -> None:
    await reserve(enabled, "kept", hold_s=3600)
    reservation = (await reserve(enabled, "lapsing", hold_s=60)).reservation
    clock.advance(seconds=60)
    refused = await refusal(commit(enabled, reservation.id))
    assert (refused.code, refused.reason) == ("FAILED_PRECONDITION", "RESERVATION_EXPIRED")
    for _ in range(2):
        answer = await release(enabled, reservation.id)
        assert answer.reservation.state == pb.RESERVATION_STATE_RELEASED
    assert (await check(enabled)).used == 1


async def test_a_request_whose_reservation_lapsed_is_granted_anew_if_the_limit_allows(
    enabled: "Stub", clock: Clock
) -> None:
    first = (await reserve(enabled, "slow", hold_s=60)).reservation
    clock.advance(minutes=5)
    again = await reserve(enabled, "slow", hold_s=60)
    assert (again.reservation.id, again.used) == (first.id, 1)
    assert (await commit(enabled, first.id)).reservation.state == pb.RESERVATION_STATE_COMMITTED


async def test_a_lapsed_request_of_another_agent_is_that_agents(enabled: "Stub", clock: Clock) -> None:
    await enabled.SetMaturity(pb.SetMaturityRequest(agent_id="bob", maturity=pb.MATURITY_LEVEL_AUTONOMOUS))
    first = (await reserve(enabled, "slow", hold_s=60)).reservation
    clock.advance(minutes=5)
    again = (await reserve(enabled, "slow", agent_id="bob")).reservation
    assert (again.id, again.agent_id) == (first.id, "bob")
    assert (await commit(enabled, first.id)).reservation.agent_id == "bob"
    assert ((await check(enabled)).used, (await check(enabled, agent_id="bob")).used) == (0, 1)


async def test_a_lapsed_request_finds_no_room_where_others_took_it(enabled: "Stub", clock: Clock) -> None:
    await reserve(enabled, "slow", hold_s=60)
    clock.advance(minutes=5)
    for index in range(5):
        await reserve(enabled, f"r{index}")
    assert (await refusal(reserve(enabled, "slow"))).reason == "QUOTA_EXCEEDED"


async def test_a_lapsed_request_of_yesterday_counts_for_today(enabled: "Stub", clock: Clock) -> None:
    await reserve(enabled, "slow", hold_s=60)
    clock.advance(days=1)
    renewed = await reserve(enabled, "slow")
    assert renewed.used == 1
    assert (await check(enabled)).used == 1
    # What it gives back is today's, too.
    await release(enabled, renewed.reservation.id)
    assert (await check(enabled)).used == 0


async def test_what_lapsed_yesterday_gives_nothing_back_today(enabled: "Stub", clock: Clock) -> None:
    clock.moment = datetime(2025, 11, 24, 23, 59, tzinfo=UTC)
    await reserve(enabled, "yesterdays", hold_s=30)
    clock.advance(minutes=1)
    await reserve(enabled, "todays")
    assert (await check(enabled)).used == 1


async def test_an_answer_that_is_kept_ends_with_the_hold_and_with_the_day(enabled: "Stub", clock: Clock) -> None:
    clock.moment = datetime(2025, 11, 24, 23, 59, 57, 500_000, tzinfo=UTC)
    await commit(enabled, (await reserve(enabled, "kept")).reservation.id)
    await reserve(enabled, "lapsing", hold_s=1)
    used = []
    # What comes before each end is read less than the second before it for which answers are kept.
    for seconds in (0.75, 0.25, 1.0, 0.5):
        clock.advance(seconds=seconds)
        used.append((await check(enabled)).used)
    assert used == [2, 1, 1, 0]


async def test_the_count_starts_again_with_the_utc_day(enabled: "Stub", clock: Clock) -> None:
    clock.moment = datetime(2025, 11, 24, 23, 59, 59, tzinfo=UTC)
    for index in range(5):
        await commit(enabled, (await reserve(enabled, f"r{index}")).reservation.id)
    assert (await check(enabled)).resets_at.ToDatetime(UTC) == datetime(2025, 11, 25, tzinfo=UTC)
    clock.advance(seconds=1)
    assert (await check(enabled)).used == 0
    assert (await reserve(enabled, "next-day")).used == 1


async def test_candidates_are_limited_for_each_agent_and_mutations_for_all(enabled: "Stub") -> None:
    await enabled.SetMaturity(pb.SetMaturityRequest(agent_id="bob", maturity=pb.MATURITY_LEVEL_AUTONOMOUS))
    for index in range(5):
        await reserve(enabled, f"ada-{index}", MEMENTO_SKILLS, "ada")
        await reserve(enabled, f"bob-{index}", MEMENTO_SKILLS, "bob")
        await reserve(enabled, f"ada-mutation-{index}", ALPHA_EVOLVER, "ada")
        await reserve(enabled, f"bob-mutation-{index}", ALPHA_EVOLVER, "bob")
    for agent_id, capability in [("ada", MEMENTO_SKILLS), ("bob", MEMENTO_SKILLS), ("bob", ALPHA_EVOLVER)]:
        refused = await refusal(reserve(enabled, f"more-{agent_id}-{capability[-6:]}", capability, agent_id))
        assert refused.reason == "QUOTA_EXCEEDED"


async def test_background_evolution_has_no_limit_of_its_own(enabled: "Stub") -> None:
    for index in range(25):
        answer = await reserve(enabled, f"r{index}", BACKGROUND_EVOLUTION)
    assert (answer.used, answer.limit) == (25, 0)
    checked = await check(enabled, BACKGROUND_EVOLUTION)
    assert checked.allowed
    assert not checked.HasField("resets_at")


async def test_a_limit_of_zero_is_told_from_none(enabled: "Stub") -> None:
    await enabled.UpdateWorkspaceSettings(pb.UpdateWorkspaceSettingsRequest(settings=settings_on(candidates=0)))
    checked = await check(enabled)
    assert (checked.reason, checked.limit, checked.HasField("resets_at")) == (pb.DENIAL_REASON_LIMIT, 0, True)
    assert (await refusal(reserve(enabled, "r"))).metadata["limit"] == "0"


async def test_a_raised_limit_holds_at_once(enabled: "Stub") -> None:
    for index in range(5):
        await reserve(enabled, f"r{index}")
    assert not (await check(enabled)).allowed
    await enabled.UpdateWorkspaceSettings(pb.UpdateWorkspaceSettingsRequest(settings=settings_on(candidates=6)))
    assert (await check(enabled)).allowed
    assert (await reserve(enabled, "sixth")).used == 6


@pytest.mark.parametrize(
    ("agent_id", "capability", "reason"),
    [
        ("student", MEMENTO_SKILLS, "MATURITY_TOO_LOW"),
        ("ada", "auto_dev.telepathy", "UNKNOWN_CAPABILITY"),
    ],
)
async def test_who_may_not_is_told_why(enabled: "Stub", agent_id: str, capability: str, reason: str) -> None:
    refused = await refusal(reserve(enabled, "r", capability, agent_id))
    assert (refused.code, refused.reason) == ("PERMISSION_DENIED", reason)


async def test_a_disabled_workspace_reserves_nothing(operator: "Stub") -> None:
    refused = await refusal(reserve(operator, "r"))
    assert (refused.code, refused.reason) == ("PERMISSION_DENIED", "CAPABILITY_DISABLED")


async def test_reservations_of_nobody(enabled: "Stub") -> None:
    for call in (commit(enabled, "no-such"), release(enabled, "no-such")):
        assert (await refusal(call)).code == "NOT_FOUND"


async def test_the_first_refusal_of_a_day_is_announced_and_no_other(
    enabled: "Stub", parts: Parts, clock: Clock
) -> None:
    def exceeded(events: list[Any]) -> list[Any]:
        return [event for event in events if event.HasField("quota_exceeded")]

    for index in range(5):
        await reserve(enabled, f"r{index}")
    assert exceeded(await parts.events()) == []
    await asyncio.gather(*(refusal(reserve(enabled, f"more-{index}")) for index in range(5)))
    (event,) = exceeded(await parts.events())
    assert (event.tenant_id, event.agent_id) == ("acme", "ada")
    payload = event.quota_exceeded
    assert (payload.capability, payload.used, payload.limit) == (MEMENTO_SKILLS, 5, 5)
    assert payload.resets_at.ToDatetime(UTC) == datetime(2025, 11, 25, tzinfo=UTC)
    clock.advance(days=1)
    for index in range(5):
        await reserve(enabled, f"tomorrow-{index}")
    await refusal(reserve(enabled, "tomorrow-5"))
    assert len(exceeded(await parts.events())) == 2


async def test_a_limit_that_was_raised_is_announced_again_when_it_is_met(operator: "Stub", parts: Parts) -> None:
    async def limit(count: int) -> None:
        settings = settings_on()
        settings.max_skill_candidates_per_day = count
        await operator.UpdateWorkspaceSettings(pb.UpdateWorkspaceSettingsRequest(settings=settings))

    async def told() -> list[int]:
        events = await parts.events()
        return [event.quota_exceeded.limit for event in events if event.HasField("quota_exceeded")]

    await operator.SetMaturity(pb.SetMaturityRequest(agent_id="ada", maturity=pb.MATURITY_LEVEL_AUTONOMOUS))
    await limit(1)
    held = await reserve(operator, "r0")
    await refusal(reserve(operator, "r1"))
    await limit(2)
    await reserve(operator, "r2")
    assert await told() == [1]
    await refusal(reserve(operator, "r3"))
    await release(operator, held.reservation.id)
    await reserve(operator, "r4")
    await refusal(reserve(operator, "r5"))
    assert await told() == [1, 2]


async def test_another_tenants_reservation_is_not_there(enabled: "Stub", caller: Any) -> None:
    reservation = (await reserve(enabled, "shared-request-id")).reservation
    other = caller("globex", Role.OPERATOR)
    for call in (commit(other, reservation.id), release(other, reservation.id)):
        assert (await refusal(call)).code == "NOT_FOUND"
    await other.UpdateWorkspaceSettings(pb.UpdateWorkspaceSettingsRequest(settings=settings_on()))
    await other.SetMaturity(pb.SetMaturityRequest(agent_id="ada", maturity=pb.MATURITY_LEVEL_AUTONOMOUS))
    theirs = await reserve(other, "shared-request-id")
    assert theirs.reservation.id != reservation.id
    assert theirs.used == 1


async def test_where_the_limit_cannot_be_read_the_answer_is_no(
    enabled: "Stub", parts: Parts, clock: Clock, storage: Storage
) -> None:
    assert (await check(enabled)).allowed
    await storage.alter("capability", "ALTER TABLE quota_counters RENAME TO gone")
    clock.advance(seconds=1)
    answer = await check(enabled)
    assert (answer.allowed, answer.reason) == (False, pb.DENIAL_REASON_LIMIT)
    assert "cannot be read" in answer.message
    with pytest.raises(Unavailable):
        await parts.reservations.reserve("acme", "r", "ada", MEMENTO_SKILLS)
