"""Tenant-scoped database sessions on SQLAlchemy.

A tenant table is a model that inherits `TenantScoped`. A session carries one tenant: every query of a tenant table is
narrowed to it and every new row belongs to it, whatever the query says; a query that cannot be narrowed is refused
(scoping.py). Only literal SQL, `text(...)`, is on its own. A session without a tenant cannot be opened; the few jobs
that work across tenants (relays, sweeps) say so by `across_tenants`.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Self

from sqlalchemy import Insert, String, event, exc, text
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Mapped, ORMExecuteState, Session, mapped_column, with_loader_criteria
from sqlalchemy.pool import AsyncAdaptedQueuePool

from autodev_runtime.errors import Unavailable
from autodev_runtime.identity import ALL_TENANTS
from autodev_runtime.scoping import TENANT_COLUMN, foreign_tenant, unscoped_form

log = logging.getLogger(__name__)

BUSY_TIMEOUT_MS = 10_000
POOL_SIZE = 4


class TenantRequired(RuntimeError):
    """A tenant table was reached without a tenant: a programming error, raised before any SQL."""


class TenantScoped:
    """Mixin of every table whose rows belong to a tenant."""

    tenant_id: Mapped[str] = mapped_column(String(128))


class _ScopedSession(Session):
    """A session that cannot leave its tenant; see the module."""


class Database:
    """One service's database. Use as an asynchronous context manager."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.is_sqlite = url.startswith("sqlite")
        self._engine = self._make_engine()
        # SQLite has one writer: waiting here, in order, is fairer and cheaper than SQLite's busy handler.
        self._writer = asyncio.Lock() if self.is_sqlite else None

    def _make_engine(self) -> AsyncEngine:
        # Parameters are tenants' data, and an error's text ends in the log.
        if not self.is_sqlite:
            return create_async_engine(self.url, pool_size=POOL_SIZE, pool_pre_ping=True, hide_parameters=True)
        engine = create_async_engine(
            self.url, poolclass=AsyncAdaptedQueuePool, pool_size=POOL_SIZE, hide_parameters=True
        )
        event.listen(engine.sync_engine, "connect", _configure_sqlite)
        event.listen(engine.sync_engine, "begin", _begin_sqlite)
        return engine

    @property
    def engine(self) -> AsyncEngine:
        """For statements on tables that belong to no tenant, and for migrations."""
        return self._engine

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._engine.dispose()

    @contextlib.asynccontextmanager
    async def session(self, tenant: str) -> AsyncIterator[AsyncSession]:
        """A transaction that may write, for one tenant: committed at the block's end, rolled back by an exception."""
        if not tenant or tenant == ALL_TENANTS:
            raise TenantRequired("a session needs one tenant; see across_tenants")
        async with self._transaction(tenant, writes=True) as session:
            yield session

    @contextlib.asynccontextmanager
    async def reading(self, tenant: str) -> AsyncIterator[AsyncSession]:
        """A transaction that only reads, for one tenant. On SQLite it waits for no writer."""
        if not tenant or tenant == ALL_TENANTS:
            raise TenantRequired("a session needs one tenant; see across_tenants")
        async with self._transaction(tenant, writes=False) as session:
            yield session

    @contextlib.asynccontextmanager
    async def across_tenants(self) -> AsyncIterator[AsyncSession]:
        """A transaction that may write, for a job that serves all tenants. Never used to answer a call."""
        async with self._transaction(None, writes=True) as session:
            yield session

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that only reads, for statements that name their tenant themselves, as the event log's do."""
        with _away_is_unavailable():
            async with self._engine.connect() as connection:
                yield connection

    @contextlib.asynccontextmanager
    async def _transaction(self, tenant: str | None, *, writes: bool) -> AsyncIterator[AsyncSession]:
        engine = self._engine.execution_options(autodev_writes=writes)
        async with contextlib.AsyncExitStack() as stack:
            stack.enter_context(_away_is_unavailable())
            if writes and self._writer is not None:
                await stack.enter_async_context(self._writer)
            session = AsyncSession(
                engine, sync_session_class=_ScopedSession, expire_on_commit=False, info={"tenant": tenant}
            )
            await stack.enter_async_context(session)
            async with session.begin():
                yield session

    async def ready(self) -> bool:
        """Whether the database answers."""
        async with self._engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
        return True

    async def run(self, change: Callable[[Connection], None]) -> None:
        """Run a synchronous change of the schema in one transaction."""
        async with self._engine.execution_options(autodev_writes=True).begin() as connection:
            await connection.run_sync(change)


@contextlib.contextmanager
def _away_is_unavailable() -> Iterator[None]:
    """A database that is away, busy or broken is no fault of the statement; a statement's own fault flies on."""
    try:
        yield
    except (exc.OperationalError, exc.InterfaceError, exc.InternalError, exc.TimeoutError, ConnectionError) as error:
        log.exception("the database failed")
        raise Unavailable("the database cannot be read or written", reason="DATABASE_UNAVAILABLE") from error
    except exc.DatabaseError as error:
        if type(error) is not exc.DatabaseError:
            raise
        # SQLite says so of a file that is no database, or is damaged.
        log.exception("the database is damaged")
        raise Unavailable("the database cannot be read or written", reason="DATABASE_UNAVAILABLE") from error


def _configure_sqlite(connection: Any, _: object) -> None:
    # The driver's own transaction control begins too late for BEGIN IMMEDIATE; `_begin_sqlite` does it instead.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout={BUSY_TIMEOUT_MS}",
        "journal_mode=WAL",
        # FULL: a commit is on disk when it returns, also when the machine loses power.
        "synchronous=FULL",
        "foreign_keys=ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and writes later can fail with SQLITE_BUSY at once; IMMEDIATE waits its turn.
    writes = connection.get_execution_options().get("autodev_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _narrow(state: ORMExecuteState) -> None:
    tenant = state.session.info.get("tenant")
    if tenant is None:
        return
    if (flaw := unscoped_form(state.statement)) is not None:
        raise TenantRequired(f"this statement would reach past the session's tenant: {flaw}")
    if isinstance(state.statement, Insert):
        state.statement = _owned_insert(state.statement, state.parameters, tenant)
        return
    state.statement = state.statement.options(
        with_loader_criteria(TenantScoped, lambda cls: cls.tenant_id == tenant, include_aliases=True)
    )


def _owned_insert(statement: Insert, parameters: Any, tenant: str) -> Insert:
    if TENANT_COLUMN not in statement.table.c:
        return statement
    if (flaw := foreign_tenant(statement, parameters, tenant)) is not None:
        raise TenantRequired(f"an INSERT in a session of {tenant!r} holds {flaw}")
    return statement.values({TENANT_COLUMN: tenant})


def _own(session: Session, *_: object) -> None:
    tenant = session.info.get("tenant")
    if tenant is None:
        return
    for row in session.new:
        if isinstance(row, TenantScoped):
            if row.tenant_id not in (None, tenant):
                raise TenantRequired(f"a row of another tenant in a session of {tenant!r}")
            row.tenant_id = tenant


event.listen(_ScopedSession, "do_orm_execute", _narrow)
event.listen(_ScopedSession, "before_flush", _own)
