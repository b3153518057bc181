"""The fitness service over a socket, on a real database."""

from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

import grpc
import pytest
import pytest_asyncio

from autodev.fitness.v1.fitness_service_pb2_grpc import FitnessServiceStub
from autodev_runtime.identity import Role
from tests.clock import Clock
from tests.integration.fitness.parts import Parts, made
from tests.serving import acting, serving
from tests.storage import Storage

if TYPE_CHECKING:
    from autodev.fitness.v1.fitness_service_pb2_grpc import FitnessServiceAsyncStub

    Caller = Callable[[str], FitnessServiceAsyncStub]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest_asyncio.fixture
async def parts(storage: Storage, clock: Clock) -> AsyncIterator[Parts]:
    async with made(storage, clock) as all_parts:
        yield all_parts


@pytest_asyncio.fixture
async def channel(parts: Parts) -> AsyncIterator[grpc.aio.Channel]:
    async with serving([parts.served]) as opened:
        yield opened


@pytest.fixture
def caller(channel: grpc.aio.Channel) -> "Caller":
    """A stub that calls as a tenant's developer, who may do everything."""
    return lambda tenant: FitnessServiceStub(acting(channel, tenant, Role.RUNTIME, Role.REVIEWER))


@pytest.fixture
def fitness(caller: "Caller") -> "FitnessServiceAsyncStub":
    return caller("acme")
