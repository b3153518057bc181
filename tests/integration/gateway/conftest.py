"""A gateway, and clients of two tenants."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from autodev_sdk import AutoDevClient
from tests.integration.gateway.parts import GLOBEX, Running, started


@pytest_asyncio.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Running]:
    async with started(tmp_path) as running:
        yield running


@pytest_asyncio.fixture
async def acme(gateway: Running) -> AsyncIterator[AutoDevClient]:
    async with gateway.client() as client:
        yield client


@pytest_asyncio.fixture
async def globex(gateway: Running) -> AsyncIterator[AutoDevClient]:
    async with gateway.client(GLOBEX) as client:
        yield client
