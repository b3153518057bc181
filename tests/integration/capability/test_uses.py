"""What replicas of learning that have the same work take of a day's limit, by the module that asks for them."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

import grpc
import pytest

from autodev.capability.v1 import capability_service_pb2 as pb
from autodev.capability.v1.capability_service_pb2_grpc import CapabilityServiceStub
from autodev_learning.peers.capabilities import Capabilities, Capability, reservation_key
from autodev_runtime.errors import PermissionDenied, ResourceExhausted, Unavailable
from autodev_runtime.identity import Identity, acting_as, service_identity
from tests.clock import Clock
from tests.integration.capability.parts import settings_on

if TYPE_CHECKING:
    from autodev.capability.v1.capability_service_pb2_grpc import CapabilityServiceAsyncStub as Stub

ADA = ("ada", Capability.MEMENTO_SKILLS)
HOLD = timedelta(seconds=60)


@pytest.fixture
def replicas(channel: grpc.aio.Channel) -> Iterator[tuple[Capabilities, Capabilities]]:
    stub: Stub = CapabilityServiceStub(channel)
    with acting_as(service_identity("learning", "acme")):
        yield Capabilities(stub, HOLD), Capabilities(stub, HOLD)


async def limit(operator: "Stub", candidates: int) -> None:
    settings = settings_on(candidates=candidates)
    await operator.UpdateWorkspaceSettings(pb.UpdateWorkspaceSettingsRequest(settings=settings))


async def test_a_use_is_taken_once_however_often_and_by_whom(
    enabled: "Stub", replicas: tuple[Capabilities, Capabilities]
) -> None:
    one, other = replicas
    await limit(enabled, 2)
    for each in (one, other, one):
        await each.reserve("pattern", *ADA)
        await each.take("pattern", *ADA)
    await other.take("another-pattern", *ADA)
    with pytest.raises(ResourceExhausted):
        await one.take("a-third", *ADA)


async def test_who_gave_up_takes_nothing_from_who_works_on(
    enabled: "Stub", replicas: tuple[Capabilities, Capabilities]
) -> None:
    one, other = replicas
    await limit(enabled, 1)
    # Both have the same work, and so the same reservation; one ends without a result.
    assert await one.reserve("pattern", *ADA) == await other.reserve("pattern", *ADA)
    await one.release(await one.reserve("pattern", *ADA))
    await other.take("pattern", *ADA)
    with pytest.raises(ResourceExhausted):
        await one.reserve("another-pattern", *ADA)


async def test_a_use_that_went_to_other_work_meanwhile_is_not_taken_twice(
    enabled: "Stub", replicas: tuple[Capabilities, Capabilities]
) -> None:
    one, other = replicas
    await limit(enabled, 1)
    await one.release(await other.reserve("pattern", *ADA))
    await one.take("another-pattern", *ADA)
    with pytest.raises(ResourceExhausted):
        await other.take("pattern", *ADA)


async def test_a_use_that_lapsed_is_taken_anew(
    enabled: "Stub", replicas: tuple[Capabilities, Capabilities], clock: Clock
) -> None:
    one, other = replicas
    await limit(enabled, 1)
    await one.reserve("pattern", *ADA)
    clock.advance(minutes=2)
    await one.take("pattern", *ADA)
    with pytest.raises(ResourceExhausted):
        await other.take("another-pattern", *ADA)


async def test_a_use_is_given_back_whatever_ends_the_work_before_it_is_taken(
    enabled: "Stub", replicas: tuple[Capabilities, Capabilities]
) -> None:
    one, other = replicas
    await limit(enabled, 1)
    at_work = asyncio.Event()

    async def work_in_vain() -> None:
        async with one.use("failing", *ADA):
            raise Unavailable("the sandbox is away")

    async def work_for_ever() -> None:
        async with one.use("cancelled", *ADA):
            at_work.set()
            await asyncio.Event().wait()

    with pytest.raises(Unavailable):
        await work_in_vain()
    working = asyncio.ensure_future(work_for_ever())
    await at_work.wait()
    with pytest.raises(ResourceExhausted):
        await other.reserve("another-pattern", *ADA)
    working.cancel()
    await asyncio.wait([working])
    async with other.use("unfinished", *ADA):
        pass
    await other.take("another-pattern", *ADA)


async def test_a_use_that_was_taken_is_not_given_back_though_what_it_made_is_not_written(
    enabled: "Stub", replicas: tuple[Capabilities, Capabilities]
) -> None:
    one, other = replicas
    await limit(enabled, 1)

    async def write_in_vain() -> None:
        async with one.use("pattern", *ADA) as use:
            await use.take()
            raise Unavailable("the database is away")

    with pytest.raises(Unavailable):
        await write_in_vain()
    with pytest.raises(ResourceExhausted):
        await other.reserve("another-pattern", *ADA)
    await other.take("pattern", *ADA)


def test_the_key_of_a_requests_use_is_what_is_stored_of_those_that_were_taken() -> None:
    assert reservation_key("candidate", "r") == "candidate-454349e422f05297191ead13e21d3db520e5abef"


async def test_a_caller_gets_past_no_gate_by_reserving_what_its_call_will(
    enabled: "Stub", replicas: tuple[Capabilities, Capabilities]
) -> None:
    key = reservation_key("mutation", "request:r")
    await enabled.ReserveUsage(pb.ReserveUsageRequest(request_id=key, agent_id="ada", capability=ADA[1]))
    with acting_as(Identity("acme", "caller", frozenset())), pytest.raises(PermissionDenied):
        await replicas[0].reserve(key, "student", Capability.ALPHA_EVOLVER)


async def test_work_that_is_for_another_agent_now_takes_a_use_of_that_one(
    enabled: "Stub", replicas: tuple[Capabilities, Capabilities]
) -> None:
    one, other = replicas
    await enabled.SetMaturity(pb.SetMaturityRequest(agent_id="bob", maturity=pb.MATURITY_LEVEL_INTERN))
    first = await one.reserve("pattern", *ADA)
    await one.release(first)
    await limit(enabled, 1)
    await one.take("pattern", "bob", ADA[1])
    await other.take("pattern", "bob", ADA[1])
    with pytest.raises(ResourceExhausted):
        await one.reserve("another-pattern", "bob", ADA[1])
