"""Where a test's services keep their data: each test that asks for `storage` runs on SQLite and on PostgreSQL.

Tests of the event log say `pytestmark = EVERY_LOG` to run on JetStream as well.
"""

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, MetaData
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from autodev.gateway.v1 import event_pb2
from autodev_gateway import wire
from autodev_gateway.event_log.jetstream.segment import unpacked
from autodev_runtime.database import Database
from autodev_runtime.postgresql import DatabaseOptions
from autodev_runtime.row_security import make_roles, roles_of, secure
from tests.nats import NatsServer, TestStream
from tests.postgresql import OWNER, SERVICES, SUPERUSER, Server, TestDatabase

SQLITE, POSTGRESQL = "sqlite", "postgresql"
ENGINES = tuple(os.environ.get("AUTODEV_TEST_DATABASES", f"{SQLITE},{POSTGRESQL}").split(","))
"""On which databases the tests run."""
JETSTREAM, JETSTREAM_POSTGRESQL = "jetstream", "jetstream-postgresql"
LOGS = (*ENGINES, *os.environ.get("AUTODEV_TEST_EVENT_LOGS", JETSTREAM).split(","))
"""On which engines the tests of the event log run: each database, and JetStream beside SQLite."""
EVERY_LOG = pytest.mark.parametrize("storages", [log for log in LOGS if log], indirect=True)


@dataclass(frozen=True)
class Storage:
    """The databases of one test."""

    directory: Path
    """For SQLite's files, and whatever else the services keep."""
    database: TestDatabase | None = None
    """On PostgreSQL: the one database of all services."""
    stream: TestStream | None = None
    """Where the gateway keeps its events, if not in its database."""

    def url(self, service: str) -> str:
        """A service's database, as the service's role."""
        if self.database is not None:
            return self.database.url(f"autodev_{service}")
        return f"sqlite+aiosqlite:///{self.directory / f'{service}.sqlite3'}"

    def open(self, service: str, **options: Any) -> Database:
        """The service's database, opened as the service does, and maybe otherwise."""
        return Database(self.url(service), DatabaseOptions(schema=service, **options))

    @contextlib.asynccontextmanager
    async def holding(self, metadata: MetaData) -> AsyncIterator[Database]:
        """A database with tables of the test's own, in the schema `things`, for the roles of the fitness service."""
        await self._make("things", metadata)
        async with self.things() as database:
            yield database

    def things(self, **options: Any) -> Database:
        """That database, opened once more, and maybe otherwise."""
        url = self.url("fitness" if self.database is not None else "things")
        return Database(url, DatabaseOptions(schema="things", **options))

    @property
    def settings(self) -> dict[str, str]:
        """The environment variables that have every service use it."""
        names = SERVICES if self.database is not None else ()
        stream = self.stream.environment if self.stream is not None else {}
        return {f"AUTODEV_{name.upper()}_DATABASE_URL": self.url(name) for name in names} | stream

    async def events(self) -> list[event_pb2.Event]:
        """What the event log has on disk, read past the gateway."""
        if self.stream is not None:
            messages = await self.stream.messages()
            bodies = [wire.unsized(each.appended.record.sized) for message in messages for each in unpacked(message)]
        else:
            bodies = [event for (event,) in await self.rows("gateway", "SELECT event FROM events ORDER BY seq")]
        return [event_pb2.Event.FromString(body) for body in bodies]

    @contextlib.asynccontextmanager
    async def log_held(self) -> AsyncIterator[None]:
        """The event log cannot be written for a while."""
        if self.stream is not None:
            with self.stream.server.paused():
                yield
        else:
            async with self.locked("gateway", "events"):
                yield

    async def tables(self, service: str) -> list[str]:
        """The service's tables."""
        if self.database is None:
            query = "SELECT name FROM sqlite_master WHERE type = 'table'"
        else:
            query = f"SELECT tablename FROM pg_tables WHERE schemaname = '{service}'"
        return [name for (name,) in await self.rows(service, query)]

    async def rows(self, service: str, query: str) -> list[tuple[Any, ...]]:
        """What the database itself holds, past the service and its roles."""
        if self.database is None:
            with sqlite3.connect(f"file:{self.directory / f'{service}.sqlite3'}?mode=ro", uri=True) as file:
                return file.execute(query).fetchall()
        connection = await self.database.connect(SUPERUSER)
        await connection.execute(f"SET search_path = {service}")
        found = [tuple(row) for row in await connection.fetch(query)]
        await connection.close()
        return found

    @contextlib.asynccontextmanager
    async def locked(self, service: str, table: str) -> AsyncIterator[None]:
        """Another process holds what a service needs to write to a table."""
        if self.database is None:
            file = self.directory / f"{service}.sqlite3"
            with sqlite3.connect(file, timeout=0, isolation_level=None) as writer:
                # A service in this process that has it now needs the loop to let it go.
                while not _begun(writer):  # noqa: ASYNC110 -- another process tells nobody
                    await asyncio.sleep(0.01)
                yield
                writer.execute("ROLLBACK")
            return
        connection = await self.database.connect(SUPERUSER)
        async with connection.transaction():
            await connection.execute(f"LOCK TABLE {service}.{table} IN EXCLUSIVE MODE")
            yield
        await connection.close()

    async def alter(self, service: str, statement: str) -> None:
        """Change a service's tables, as only their owner can."""
        if self.database is not None:
            self.database.altered()

        def executed(connection: Connection) -> None:
            connection.exec_driver_sql(statement)

        await self.as_owner(service, executed)

    async def as_owner(self, schema: str, work: Callable[[Connection], None]) -> None:
        """Do something to a service's tables in one transaction, as their owner."""
        if self.database is None:
            async with self.open(schema) as database:
                await database.run(work)
            return
        engine = create_async_engine(
            self.database.url(OWNER),
            poolclass=NullPool,
            connect_args={"server_settings": {"search_path": schema}},
        )
        async with engine.begin() as connection:
            await connection.run_sync(work)
        await engine.dispose()

    async def _make(self, schema: str, metadata: MetaData) -> None:
        if self.database is None:
            await self.as_owner(schema, metadata.create_all)
            return
        roles = roles_of(self.url("fitness"), DatabaseOptions(schema=schema))

        def made(connection: Connection) -> None:
            connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {schema}")
            metadata.create_all(connection)
            make_roles(connection, roles)
            secure(connection, schema, roles)

        await self.as_owner(schema, made)


def _begun(writer: sqlite3.Connection) -> bool:
    try:
        writer.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:
        return False
    return True


@dataclass(frozen=True)
class Storages:
    """Makes storage on one engine."""

    server: Server | None
    nats: NatsServer | None = None

    @contextlib.contextmanager
    def new(self, directory: Path) -> Iterator[Storage]:
        """A fresh one, for the block."""
        with contextlib.ExitStack() as stack:
            stream = None
            if self.nats is not None:
                stream = self.nats.stream()
                stack.callback(stream.delete)
            database = stack.enter_context(self.server.database()) if self.server is not None else None
            yield Storage(directory, database, stream)
