"""Days that are long past leave nothing, and the others all that they have."""

from typing import TYPE_CHECKING

import pytest
from google.protobuf.duration_pb2 import Duration

from autodev.capability.v1 import capability_service_pb2 as pb
from autodev_capability.forgetting import forget_old
from autodev_capability.gates import ALPHA_EVOLVER, WorkspaceSettings, day_of
from autodev_capability.maturity import Maturity
from autodev_capability.notices import Cause
from autodev_capability.standing import Work
from autodev_capability.store.past_days import PastDays
from autodev_runtime.identity import Role
from tests.clock import Clock
from tests.integration.capability.parts import KEEP_DAYS, Parts
from tests.serving import refusal
from tests.storage import Storage

if TYPE_CHECKING:
    from autodev.capability.v1.capability_service_pb2_grpc import CapabilityServiceAsyncStub as Stub
    from tests.integration.capability.conftest import Caller

LEFT = "SELECT request_id FROM reservations ORDER BY request_id"
COUNTED = "SELECT DISTINCT day FROM quota_counters ORDER BY day"


async def reserve(stub: "Stub", request_id: str, agent_id: str = "ada", hold_s: int = 600) -> pb.Reservation:
    request = pb.ReserveUsageRequest(request_id=request_id, agent_id=agent_id, capability=ALPHA_EVOLVER)
    request.hold_for.CopyFrom(Duration(seconds=hold_s))
    return (await stub.ReserveUsage(request)).reservation


async def left(storage: Storage) -> tuple[list[str], list[str]]:
    """The requests whose reservations are there, and the days whose counts are."""
    requests = [name for (name,) in await storage.rows("capability", LEFT)]
    return requests, [day for (day,) in await storage.rows("capability", COUNTED)]


@pytest.mark.parametrize("at_once", [1, 1000])
async def test_what_was_reserved_is_forgotten_after_so_many_days(
    enabled: "Stub",
    caller: "Caller",
    parts: Parts,
    clock: Clock,
    storage: Storage,
    monkeypatch: pytest.MonkeyPatch,
    at_once: int,
) -> None:
    enabled = caller("acme", Role.SERVICE)  # whose requests are kept by the ids that it states
    monkeypatch.setattr("autodev_capability.store.past_days.FORGOTTEN_AT_ONCE", at_once)
    days = PastDays(parts.database)
    first = await reserve(enabled, "committed")
    await enabled.CommitUsage(pb.CommitUsageRequest(reservation_id=first.id))
    released = await reserve(enabled, "released")
    await enabled.ReleaseUsage(pb.ReleaseUsageRequest(reservation_id=released.id))
    await reserve(enabled, "lapsed", hold_s=1)
    clock.advance(days=1)
    await reserve(enabled, "next-day")
    clock.advance(days=KEEP_DAYS - 1)
    await reserve(enabled, "today")

    await forget_old(days, KEEP_DAYS, clock())
    assert await left(storage) == (
        ["committed", "lapsed", "next-day", "released", "today"],
        ["2025-11-24", "2025-11-25", "2025-12-24"],
    )
    assert (await reserve(enabled, "committed")).id == first.id
    clock.advance(days=1)
    await forget_old(days, KEEP_DAYS, clock())
    assert await left(storage) == (["next-day", "today"], ["2025-11-25", "2025-12-24"])
    gone = enabled.CommitUsage(pb.CommitUsageRequest(reservation_id=first.id))
    assert (await refusal(gone)).code == "NOT_FOUND"


async def test_a_request_that_was_granted_anew_is_of_its_new_day(
    enabled: "Stub", caller: "Caller", parts: Parts, clock: Clock, storage: Storage
) -> None:
    enabled = caller("acme", Role.SERVICE)
    await reserve(enabled, "again", hold_s=1)
    clock.advance(days=KEEP_DAYS)
    again = await reserve(enabled, "again")
    clock.advance(days=1)
    await forget_old(PastDays(parts.database), KEEP_DAYS, clock())
    assert await left(storage) == (["again"], ["2025-12-24"])
    assert (await reserve(enabled, "other")).id != again.id


async def test_every_tenants_days_pass(enabled: "Stub", parts: Parts, clock: Clock, storage: Storage) -> None:
    await parts.workspaces.change_settings("globex", WorkspaceSettings(enabled=True), "olga")
    await parts.standing.set_level("globex", "ada", "", Maturity.AUTONOMOUS, "olga", "")
    await parts.reservations.reserve("globex", "theirs", "ada", ALPHA_EVOLVER)
    await reserve(enabled, "mine")
    for tenant in ("acme", "globex"):
        await parts.standing.count(tenant, "ada", Work.VERIFIED, Cause("event"), day_of(clock()), "episode")
    clock.advance(days=KEEP_DAYS + 1)
    await forget_old(PastDays(parts.database), KEEP_DAYS, clock())
    assert await left(storage) == ([], [])
    assert await storage.rows("capability", "SELECT * FROM counted_events") == []
    assert await storage.rows("capability", "SELECT * FROM counted_episodes") == []
