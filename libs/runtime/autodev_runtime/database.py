"""Tenant-scoped database sessions on SQLAlchemy.

A session carries one tenant, which it cannot leave (scoped_session.py). One without a tenant cannot be opened; the few
jobs that work across tenants (relays, sweeps) say so by `across_tenants`.

On PostgreSQL the database keeps tenants apart as well, also from literal SQL: see postgresql.py and row_security.py.
"""

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Self, TypeVar

from sqlalchemy import text
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

from autodev_runtime import pools, postgresql, scripts, sqlite
from autodev_runtime.database_faults import away_is_unavailable, driver_away_is_unavailable
from autodev_runtime.identity import ALL_TENANTS
from autodev_runtime.postgresql import DatabaseOptions
from autodev_runtime.scoped_session import OneTenantRequired, ScopedSession, TenantRequired
from autodev_runtime.scripts import Script
from autodev_runtime.sqlite_direct import SqliteThreads
from autodev_sdk.ending import Patience, ended

log = logging.getLogger(__name__)

FAREWELL_S = 2.0
LEAVING_S = 9.0
"""Less than it takes until tasks that do not end are cancelled again, which breaks off what they still have to do."""
DEFAULT_OPTIONS = DatabaseOptions()

Result = TypeVar("Result")


class Database:
    """One service's database. Use as an asynchronous context manager."""

    def __init__(self, url: str, options: DatabaseOptions = DEFAULT_OPTIONS) -> None:
        self.url = url
        self.options = options
        self.patience = Patience(LEAVING_S)
        """With the database while the service ends, which whatever of it waits for the database shares."""
        self.is_sqlite = url.startswith("sqlite")
        if self.is_sqlite:
            self._engine = self._all_tenants_engine = sqlite.make_engine(url)
            self._meaning = sqlite.meaning
        else:
            self._meaning = postgresql.meaning
            self._engine = postgresql.make_engine(url, options)
            self._all_tenants_engine = postgresql.make_engine(postgresql.all_tenants_url(url, options), options)
        # SQLite has one writer: waiting here, in order, is fairer and cheaper than SQLite's busy handler.
        self._writer = asyncio.Lock() if self.is_sqlite else None
        self._writing: SqliteThreads | None = None
        self._reading: SqliteThreads | None = None
        if self.is_sqlite:
            self._writing, self._reading = sqlite.threads(url)

    @property
    def engine(self) -> AsyncEngine:
        """For statements on tables that belong to no tenant, and for SQLite's migrations."""
        return self._engine

    @property
    def _pools(self) -> dict[str, AsyncEngine]:
        """The engines, by what their pools are called."""
        if self._all_tenants_engine is self._engine:
            return {pools.SHARED: self._engine}
        return {pools.TENANT: self._engine, pools.ALL_TENANTS: self._all_tenants_engine}

    async def __aenter__(self) -> Self:
        for name, engine in self._pools.items():
            pools.SHOWN.add(name, engine)
        return self

    async def __aexit__(self, *exception: object) -> None:
        for name, engine in self._pools.items():
            pools.SHOWN.remove(name, engine)
        for threads in filter(None, (self._writing, self._reading)):
            await threads.close()
        self.patience.begin()
        await asyncio.gather(*(_disposed(engine, self.patience) for engine in self._pools.values()))  # noqa: TID251 -- all must close

    @contextlib.asynccontextmanager
    async def session(self, tenant: str) -> AsyncIterator[AsyncSession]:
        """A transaction that may write, for one tenant: committed at the block's end, rolled back by an exception."""
        _require_one(tenant)
        async with self._transaction(tenant, writes=True) as session:
            yield session

    @contextlib.asynccontextmanager
    async def reading(self, tenant: str) -> AsyncIterator[AsyncSession]:
        """A transaction that only reads, for one tenant. On SQLite it waits for no writer."""
        _require_one(tenant)
        async with self._transaction(tenant, writes=False) as session:
            yield session

    @contextlib.asynccontextmanager
    async def across_tenants(self) -> AsyncIterator[AsyncSession]:
        """A transaction that may write, for a job that serves all tenants. Never used to answer a call."""
        async with self._transaction(None, writes=True) as session:
            yield session

    async def write_on_sqlite(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Do literal SQL of all tenants in one transaction, in a thread. For SQLite, where hops cost more than rows.

        Raises Unavailable.
        """
        assert self._writing is not None
        assert self._writer is not None
        async with self._writer:
            with _sqlite_answers():
                return await self._writing.transaction(work)

    async def read_on_sqlite(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """The same of work that only reads, for SQL that names its tenant itself. It waits for no writer."""
        assert self._reading is not None
        with _sqlite_answers():
            return await self._reading.transaction(work)

    @property
    def dialect(self) -> scripts.Dialect:
        """How scripts are spelled here."""
        return scripts.SQLITE if self.is_sqlite else scripts.POSTGRESQL

    async def script(self, tenant: str, script: Callable[[], Script[Result]]) -> Result:
        """Do a script in one transaction of a tenant that may write; see scripts.py. Raises Unavailable."""
        _require_one(tenant)
        if self.is_sqlite:
            return await self.write_on_sqlite(lambda connection: scripts.done_on_sqlite(connection, script()))
        async with self._driver_of(self._engine) as driver:
            await driver.execute("BEGIN")
            await driver.fetchval(f"SELECT set_config('{postgresql.TENANT_SETTING}', $1, true)", tenant)
            result = await scripts.done_on_postgresql(driver, script())
            await driver.execute("COMMIT")
            return result

    async def scripts_on_sqlite(self, by_tenant: Mapping[str, Callable[[], Script[Result]]]) -> dict[str, Result]:
        """Do tenants' scripts, short ones, in one transaction: one commit for all. Raises Unavailable."""
        for tenant in by_tenant:
            _require_one(tenant)
        assert self._writing is not None
        assert self._writer is not None
        async with self._writer:
            with _sqlite_answers():
                return await self._writing.short_transaction(
                    lambda connection: {
                        tenant: scripts.done_on_sqlite(connection, script()) for tenant, script in by_tenant.items()
                    }
                )

    def driver(self) -> contextlib.AbstractAsyncContextManager[Any]:
        """A connection of asyncpg's own kind, for literal SQL of all tenants that is too frequent for anything between.

        On PostgreSQL. The block begins its transactions itself, and ends them. Raises Unavailable.
        """
        return self._driver_of(self._all_tenants_engine)

    @contextlib.asynccontextmanager
    async def _driver_of(self, engine: AsyncEngine) -> AsyncIterator[Any]:
        with away_is_unavailable(self._meaning):
            async with engine.connect() as connection:
                driver = (await connection.get_raw_connection()).driver_connection
                assert driver is not None
                with _postgresql_answers():
                    async with postgresql.left_clean(driver):
                        yield driver

    @contextlib.asynccontextmanager
    async def connection(self, tenant: str) -> AsyncIterator[AsyncConnection]:
        """A transaction that only reads, for statements that name their tenant themselves, as the event log's do.

        The tenant may be `*`, for a job that serves all tenants.
        """
        with away_is_unavailable(self._meaning):
            async with self._serving(None if tenant == ALL_TENANTS else tenant, writes=False).connect() as connection:
                yield connection

    def _serving(self, tenant: str | None, *, writes: bool) -> AsyncEngine:
        """The engine for a transaction: of one tenant, or of all (None)."""
        engine = self._all_tenants_engine if tenant is None else self._engine
        if self.is_sqlite:
            return engine.execution_options(autodev_writes=writes)
        if writes:
            return engine.execution_options(autodev_tenant=tenant)
        # As on SQLite, all that one transaction reads is of one moment.
        return engine.execution_options(
            autodev_tenant=tenant, isolation_level="REPEATABLE READ", postgresql_readonly=True
        )

    @contextlib.asynccontextmanager
    async def _transaction(self, tenant: str | None, *, writes: bool) -> AsyncIterator[AsyncSession]:
        engine = self._serving(tenant, writes=writes)
        async with contextlib.AsyncExitStack() as stack:
            stack.enter_context(away_is_unavailable(self._meaning))
            if writes and self._writer is not None:
                await stack.enter_async_context(self._writer)
            session = AsyncSession(
                engine, sync_session_class=ScopedSession, expire_on_commit=False, info={"tenant": tenant}
            )
            await stack.enter_async_context(session)
            async with session.begin():
                yield session

    @contextlib.asynccontextmanager
    async def notices(self, channel: str, heard: Callable[[], None], own: str = "") -> AsyncIterator[None]:
        """Call `heard`, within the block, at every NOTIFY on the channel that does not say `own`. SQLite has none."""
        if self.is_sqlite:
            yield
            return
        listening = asyncio.ensure_future(postgresql.listen(self.url, self.options, channel, heard, own))
        try:
            yield
        finally:
            await ended(listening)

    async def ready(self) -> bool:
        """Whether the database answers, to each of the service's roles."""
        for engine in self._pools.values():
            pool = engine.pool
            assert isinstance(pool, pools.Pool)
            if not pool.full:
                async with engine.connect() as connection:
                    await connection.execute(text("SELECT 1"))
            # In it calls may wait for each other, and for a lock: no reason to send all to another replica.
            elif self.is_sqlite:
                await sqlite.answers(engine.url)
            else:
                await postgresql.answers(engine.url, self.options)
        return True

    async def run(self, change: Callable[[Connection], None]) -> None:
        """Run a synchronous change of the schema in one transaction. On PostgreSQL services may change none."""
        async with self._engine.execution_options(autodev_writes=True).begin() as connection:
            await connection.run_sync(change)


def _require_one(tenant: str) -> None:
    """Raises TenantRequired."""
    if tenant == ALL_TENANTS:
        raise OneTenantRequired
    if not tenant:
        raise TenantRequired("a session needs one tenant; see across_tenants")


async def _disposed(engine: AsyncEngine, patience: Patience) -> None:
    """Close the engine's connections: with a word of farewell, for which the driver would wait for ever."""
    try:
        async with asyncio.timeout(patience.left_s(FAREWELL_S)):
            await engine.dispose()
    except TimeoutError:
        log.warning("the database does not answer; its connections are left")
        pool = engine.pool
        assert isinstance(pool, pools.Pool)
        pool.abandon()


def dialect_of(session: AsyncSession) -> scripts.Dialect:
    """How scripts are spelled within a session."""
    return scripts.SQLITE if session.get_bind().dialect.name == "sqlite" else scripts.POSTGRESQL


async def done_within(session: AsyncSession, script: Script[Result]) -> Result:
    """Do a script within a session's transaction, by the driver itself. Raises Unavailable."""
    connection = await session.connection()
    driver: Any = (await connection.get_raw_connection()).driver_connection
    if dialect_of(session).is_sqlite:
        with _sqlite_answers():
            return await scripts.done_by_aiosqlite(driver, script)
    try:
        with _postgresql_answers(), postgresql.closed_if_silent(driver):
            return await scripts.done_on_postgresql(driver, script)
    except asyncio.CancelledError:
        # As SQLAlchemy does where it is its own statement: a rollback would wait for the answer to this one.
        await connection.invalidate()
        raise


def _sqlite_answers() -> contextlib.AbstractContextManager[None]:
    """Its driver's errors, in a block, as what a caller is told."""
    return driver_away_is_unavailable((sqlite3.Error,), sqlite.meaning_of_driver)


def _postgresql_answers() -> contextlib.AbstractContextManager[None]:
    """The same of asyncpg's."""
    return driver_away_is_unavailable(postgresql.driver_errors(), postgresql.meaning_of_driver)
