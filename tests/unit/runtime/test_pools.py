"""The metrics of pools of connections: what is in use, what is idle, and who waits."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from prometheus_client import REGISTRY
from sqlalchemy import MetaData, make_url, text
from sqlalchemy.ext.asyncio import AsyncSession

from autodev_runtime.database import Database
from autodev_runtime.errors import Unavailable
from autodev_runtime.pools import ALL_TENANTS, SHARED, TENANT
from tests.mesh import eventually
from tests.storage import POSTGRESQL, SQLITE, Storage

READY_S = 5.0


@pytest.fixture
def storage_size(storage: Storage) -> int:
    """How many connections the databases below may have: SQLite's pools are not for anybody to set."""
    return 14 if storage.database is None else 3


@pytest_asyncio.fixture
async def database(storage: Storage) -> AsyncIterator[Database]:
    async with storage.holding(MetaData()):
        pass
    async with storage.things(pool_size=3) as opened:
        yield opened


def shown(pool: str) -> dict[str, float]:
    """What Prometheus is told of a pool."""
    figures = {state: _value("connections", pool=pool, state=state) for state in ("in_use", "idle")}
    limit, waiting = _value("limit_connections", pool=pool), _value("waiting_transactions", pool=pool)
    return {**figures, "limit": limit, "waiting": waiting}


def _value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"autodev_database_pool_{name}", labels) or 0.0


async def hold(session: AbstractAsyncContextManager[AsyncSession], until: asyncio.Event) -> None:
    """A transaction that has, or waits for, a connection."""
    async with session as opened:
        await opened.execute(text("SELECT 1"))
        await until.wait()


@contextlib.asynccontextmanager
async def held(database: Database, count: int) -> AsyncIterator[list["asyncio.Task[None]"]]:
    """Transactions of one tenant that are open within the block, as far as there are connections for them."""
    over = asyncio.Event()
    holding = [asyncio.create_task(hold(database.reading("acme"), over)) for _ in range(count)]
    try:
        yield holding
    finally:
        over.set()
        await asyncio.gather(*holding, return_exceptions=True)


async def is_shown(pool: str, **figures: float) -> None:
    async def as_told() -> bool:
        return shown(pool).items() >= figures.items()

    try:
        await eventually(as_told, "the pool's figures", 20)
    except AssertionError:
        assert shown(pool) == figures


async def test_connections_in_use_and_those_who_wait_for_one_are_told(database: Database, storage_size: int) -> None:
    pool = SHARED if database.is_sqlite else TENANT
    assert shown(pool) == {"in_use": 0, "idle": 0, "limit": storage_size, "waiting": 0}
    async with held(database, 2):
        await is_shown(pool, in_use=2, idle=0, limit=storage_size, waiting=0)
    await is_shown(pool, in_use=0, idle=2, limit=storage_size, waiting=0)
    async with held(database, storage_size + 2) as holding:
        await is_shown(pool, in_use=storage_size, idle=0, limit=storage_size, waiting=2)
        # One that gives up waits no longer.
        holding[-1].cancel()
        await is_shown(pool, in_use=storage_size, idle=0, limit=storage_size, waiting=1)
    # What SQLite's pool has besides its four is closed again.
    await is_shown(pool, in_use=0, idle=min(storage_size, 4), limit=storage_size, waiting=0)


async def test_transactions_that_use_all_connections_leave_the_database_ready(
    database: Database, storage_size: int
) -> None:
    async with held(database, storage_size + 1):
        await is_shown(SHARED if database.is_sqlite else TENANT, in_use=storage_size, waiting=1)
        async with asyncio.timeout(READY_S):
            assert await database.ready()


@pytest.mark.parametrize("storages", [SQLITE], indirect=True)
async def test_a_file_that_is_gone_is_not_ready_and_not_made_anew(database: Database, storage_size: int) -> None:
    file = Path(make_url(database.url).database or "")
    async with held(database, storage_size):
        await is_shown(SHARED, in_use=storage_size)
        file.unlink()
        with pytest.raises(sqlite3.OperationalError):
            await database.ready()
    assert not file.exists()


# Nobody's setting makes SQLite's pool small, or impatient.
@pytest.mark.parametrize("storages", [POSTGRESQL], indirect=True)
async def test_who_waited_too_long_waits_no_longer(storage: Storage, database: Database) -> None:
    others = shown(TENANT)["limit"]
    async with storage.things(pool_size=1, pool_wait=timedelta(seconds=0.05)) as small, held(small, 1):
        await is_shown(TENANT, in_use=1, limit=1 + others, waiting=0)
        with pytest.raises(Unavailable):
            await hold(small.reading("acme"), asyncio.Event())
        await is_shown(TENANT, in_use=1, limit=1 + others, waiting=0)


async def test_relays_have_a_pool_of_their_own_where_they_have_a_role(database: Database) -> None:
    over = asyncio.Event()
    holding = asyncio.create_task(hold(database.across_tenants(), over))
    await is_shown(SHARED if database.is_sqlite else ALL_TENANTS, in_use=1)
    if not database.is_sqlite:
        assert shown(TENANT)["in_use"] == 0
    over.set()
    await holding


async def test_a_database_that_is_closed_is_counted_no_more(storage: Storage, database: Database) -> None:
    pool = SHARED if database.is_sqlite else TENANT
    limit = shown(pool)["limit"]
    async with storage.things(pool_size=3) as second, held(database, 1), held(second, 1):
        await is_shown(pool, in_use=2, limit=2 * limit)
    await is_shown(pool, in_use=0, limit=limit)
