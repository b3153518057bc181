"""A request_id stands for one use: of one agent and capability, and a service's is out of callers' reach."""

from datetime import timedelta
from typing import TYPE_CHECKING

from autodev.capability.v1 import capability_service_pb2 as pb
from autodev_capability.gates import ALPHA_EVOLVER, MEMENTO_SKILLS
from autodev_runtime.identity import Role
from tests.clock import Clock
from tests.integration.capability.parts import Parts
from tests.serving import refusal

if TYPE_CHECKING:
    from autodev.capability.v1.capability_service_pb2_grpc import CapabilityServiceAsyncStub as Stub
    from tests.integration.capability.conftest import Caller


async def reserve(stub: "Stub", request_id: str, agent_id: str, capability: str) -> pb.Reservation:
    request = pb.ReserveUsageRequest(request_id=request_id, agent_id=agent_id, capability=capability)
    return (await stub.ReserveUsage(request)).reservation


async def test_an_id_again_for_another_agent_or_capability_is_refused(enabled: "Stub") -> None:
    first = await reserve(enabled, "r", "ada", MEMENTO_SKILLS)
    for agent, capability in (("student", MEMENTO_SKILLS), ("ada", ALPHA_EVOLVER), ("student", ALPHA_EVOLVER)):
        told = await refusal(reserve(enabled, "r", agent, capability))
        assert (told.code, told.reason) == ("FAILED_PRECONDITION", "REQUEST_ID_REUSED")
    assert (await reserve(enabled, "r", "ada", MEMENTO_SKILLS)).id == first.id


async def test_a_caller_cannot_take_the_id_of_a_service(enabled: "Stub", caller: "Caller") -> None:
    service = caller("acme", Role.SERVICE)
    taken = await reserve(enabled, "mutation-1", "ada", ALPHA_EVOLVER)
    told = await refusal(reserve(service, "mutation-1", "student", ALPHA_EVOLVER))
    assert (told.code, told.reason) == ("PERMISSION_DENIED", "MATURITY_TOO_LOW")
    assert (await reserve(service, "mutation-1", "ada", ALPHA_EVOLVER)).id != taken.id


async def test_the_longest_id_of_a_caller_is_kept(enabled: "Stub") -> None:
    first = await reserve(enabled, "r" * 128, "ada", ALPHA_EVOLVER)
    assert (await reserve(enabled, "r" * 128, "ada", ALPHA_EVOLVER)).id == first.id


async def test_what_an_earlier_release_kept_goes_on_to_count(
    enabled: "Stub", caller: "Caller", parts: Parts, clock: Clock
) -> None:
    # It kept everybody's requests by the ids that were stated.
    kept = await parts.reservations.reserve("acme", "r", "ada", ALPHA_EVOLVER, timedelta(minutes=10))
    for stub in (enabled, caller("acme", Role.SERVICE)):
        assert (await reserve(stub, "r", "ada", ALPHA_EVOLVER)).id == kept.id
    assert (await refusal(reserve(enabled, "r", "student", ALPHA_EVOLVER))).reason == "REQUEST_ID_REUSED"
    clock.advance(minutes=10)
    assert (await reserve(enabled, "r", "ada", ALPHA_EVOLVER)).id == kept.id
