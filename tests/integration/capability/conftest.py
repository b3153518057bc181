"""The service over a socket, and callers of it."""

from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

import grpc
import pytest
import pytest_asyncio

from autodev.capability.v1 import capability_service_pb2 as pb
from autodev.capability.v1.capability_service_pb2_grpc import CapabilityServiceStub
from autodev_runtime.identity import Role
from tests.clock import Clock
from tests.integration.capability.parts import Parts, replica, settings_on
from tests.serving import acting, serving
from tests.storage import Storage

if TYPE_CHECKING:
    from autodev.capability.v1.capability_service_pb2_grpc import CapabilityServiceAsyncStub

    Caller = Callable[..., CapabilityServiceAsyncStub]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest_asyncio.fixture
async def parts(storage: Storage, clock: Clock) -> AsyncIterator[Parts]:
    async with replica(storage, clock) as made:
        yield made


@pytest_asyncio.fixture
async def channel(parts: Parts) -> AsyncIterator[grpc.aio.Channel]:
    async with serving([parts.served]) as opened:
        yield opened


@pytest.fixture
def caller(channel: grpc.aio.Channel) -> "Caller":
    """A stub that calls as a tenant: `caller("acme", Role.OPERATOR)`."""

    def call_as(tenant: str, *roles: Role, subject: str = "someone") -> "CapabilityServiceAsyncStub":
        return CapabilityServiceStub(acting(channel, tenant, *roles, subject=subject))

    return call_as


@pytest.fixture
def operator(caller: "Caller") -> "CapabilityServiceAsyncStub":
    return caller("acme", Role.OPERATOR, subject="olga")


@pytest_asyncio.fixture
async def enabled(operator: "CapabilityServiceAsyncStub") -> "CapabilityServiceAsyncStub":
    """A workspace with Auto-Dev on, the limits at their defaults, and an AUTONOMOUS agent "ada"."""
    await operator.UpdateWorkspaceSettings(pb.UpdateWorkspaceSettingsRequest(settings=settings_on()))
    await operator.SetMaturity(pb.SetMaturityRequest(agent_id="ada", maturity=pb.MATURITY_LEVEL_AUTONOMOUS))
    return operator
