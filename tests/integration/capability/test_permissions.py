"""What learning makes of the answer to whether an agent may, by the module that asks."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import TYPE_CHECKING, cast

import pytest
import pytest_asyncio

from autodev.capability.v1 import capability_service_pb2 as pb
from autodev.capability.v1.capability_service_pb2_grpc import (
    CapabilityServiceServicer,
    CapabilityServiceStub,
    add_CapabilityServiceServicer_to_server,
)
from autodev_capability.custom import CustomGate, CustomGates
from autodev_capability.gates import Gate
from autodev_capability.maturity import Maturity
from autodev_learning.peers.capabilities import Capabilities, Capability, Denial
from autodev_learning.peers.patience import is_outage
from autodev_runtime.errors import PermissionDenied, Unavailable
from autodev_runtime.identity import Role, acting_as, service_identity
from autodev_runtime.server import Served
from autodev_sdk.extensions import GateAnswer, GateQuestion
from tests.clock import Clock
from tests.integration.capability.parts import replica, settings_on
from tests.serving import acting, serving
from tests.storage import Storage

if TYPE_CHECKING:
    from autodev.capability.v1.capability_service_pb2_grpc import CapabilityServiceAsyncStub as Stub

HOLD = timedelta(seconds=60)


def raises(question: GateQuestion) -> GateAnswer:
    raise RuntimeError("as the test says")


async def hangs(question: GateQuestion) -> GateAnswer:
    await asyncio.Event().wait()
    return GateAnswer(True)


@pytest_asyncio.fixture
async def capabilities(storage: Storage, clock: Clock) -> AsyncIterator[Capabilities]:
    """Of a workspace with checks of its own under two built-in names: one says no, one fails, one is away."""
    gates = [
        CustomGate(Gate(Capability.MEMENTO_SKILLS, Maturity.STUDENT), lambda _: GateAnswer(False, "not on a Friday")),
        CustomGate(Gate(Capability.ALPHA_EVOLVER, Maturity.STUDENT), raises),
        CustomGate(Gate(Capability.BACKGROUND_EVOLUTION, Maturity.STUDENT), hangs),
    ]
    async with replica(storage, clock, CustomGates(gates, seconds=0.1)) as parts, serving([parts.served]) as channel:
        operator: Stub = CapabilityServiceStub(acting(channel, "acme", Role.OPERATOR))
        await operator.UpdateWorkspaceSettings(pb.UpdateWorkspaceSettingsRequest(settings=settings_on()))
        await operator.SetMaturity(pb.SetMaturityRequest(agent_id="ada", maturity=pb.MATURITY_LEVEL_AUTONOMOUS))
        with acting_as(service_identity("learning", "acme")):
            yield Capabilities(CapabilityServiceStub(channel), HOLD)


@pytest.mark.parametrize(
    ("capability", "message"), [(Capability.MEMENTO_SKILLS, "not on a Friday"), (Capability.ALPHA_EVOLVER, "asked")]
)
async def test_a_check_of_the_users_own_under_a_built_in_name_is_a_no(
    capabilities: Capabilities, capability: Capability, message: str
) -> None:
    permission = await capabilities.check("ada", capability)
    assert (permission.denial, permission.allowed_another_day) == (Denial.CHECK, False)
    assert message in permission.message
    with pytest.raises(PermissionDenied, match=message) as refused:
        await capabilities.demand("ada", capability)
    assert refused.value.reason == "GATE_REFUSED"


async def test_a_check_that_is_away_is_no_answer_but_an_outage_which_is_waited_out(capabilities: Capabilities) -> None:
    for asked in (
        capabilities.check("ada", Capability.BACKGROUND_EVOLUTION),
        capabilities.demand("ada", Capability.BACKGROUND_EVOLUTION),
        capabilities.reserve("r", "ada", Capability.BACKGROUND_EVOLUTION),
    ):
        with pytest.raises(Unavailable, match="cannot be asked") as away:
            await asked
        assert is_outage(away.value)


class Later(CapabilityServiceServicer):
    """A later release, which has a reason that this one does not know."""

    async def CheckCapability(self, request: object, context: object) -> pb.CheckCapabilityResponse:
        return pb.CheckCapabilityResponse(reason=cast("pb.DenialReason.ValueType", 99), message="not at full moon")


async def test_a_reason_of_a_later_release_is_a_no() -> None:
    served = Served(
        "autodev.capability.v1.CapabilityService",
        lambda server: add_CapabilityServiceServicer_to_server(Later(), server),  # type: ignore[abstract] # one RPC is asked
    )
    async with serving([served]) as channel:
        with acting_as(service_identity("learning", "acme")):
            capabilities = Capabilities(CapabilityServiceStub(channel), HOLD)
            assert not (await capabilities.check("ada", Capability.MEMENTO_SKILLS)).allowed_another_day
            with pytest.raises(PermissionDenied, match="not at full moon"):
                await capabilities.demand("ada", Capability.MEMENTO_SKILLS)
