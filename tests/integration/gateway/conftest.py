"""A gateway, and clients of two tenants."""

from collections.abc import AsyncIterator

import pytest_asyncio

from autodev_sdk import AutoDevClient
from tests.integration.gateway.parts import GLOBEX, Running, started
from tests.storage import Storage


@pytest_asyncio.fixture
async def gateway(storage: Storage) -> AsyncIterator[Running]:
    async with started(storage) as running:
        yield running


@pytest_asyncio.fixture
async def acme(gateway: Running) -> AsyncIterator[AutoDevClient]:
    async with gateway.client() as client:
        yield client


@pytest_asyncio.fixture
async def globex(gateway: Running) -> AsyncIterator[AutoDevClient]:
    async with gateway.client(GLOBEX) as client:
        yield client
