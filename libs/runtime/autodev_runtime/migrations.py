"""Brings a service's database to the schema of its code: Alembic revisions in the service's `migrations/versions`.

A service brings its own SQLite file along when it starts. On PostgreSQL the schema's owner does it (`autodev migrate`):
a service's role may change no table, and the service starts only when it is done.
"""

import asyncio
import hashlib
import logging
from importlib.resources import files
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from autodev_runtime.database import Database
from autodev_runtime.postgresql import driver_arguments
from autodev_runtime.row_security import VERSION_TABLE, ServiceRoles, make_roles, require_secured, roles_of, secure
from autodev_runtime.starting import CannotStart

LOCK_TIMEOUT = "3s"
ATTEMPTS, PAUSE_S = 20, 1.0
_IN_USE = ("55P03", "40P01")
"""States of statements that others' locks ended: waited for too long, and waited for each other."""

log = logging.getLogger(__name__)


class NotMigrated(CannotStart):
    """The database is older than the code: the operator has to act."""


async def upgrade(database: Database, package: str) -> None:
    """Apply what is missing on SQLite, in one transaction; on PostgreSQL, check that nothing is.

    Safe to run again, and at every start. Raises NotMigrated, RoleUnfit.
    """
    directory = _directory(package)
    if database.is_sqlite:
        await database.run(lambda connection: _upgrade(connection, directory))
    else:
        roles = roles_of(database.url, database.options)
        await database.run(lambda connection: _check(connection, directory, database.options.schema, roles))


async def migrate(owner_url: str, package: str, schema: str, roles: ServiceRoles) -> str:
    """Bring a schema on PostgreSQL to the code's, as its owner, with what its roles may do. Returns its revision.

    One transaction, under a lock: of two that run at once, the second finds it done. Services may be at work meanwhile:
    where they and it wait for each other, it gives way and begins again. Raises RoleUnfit.
    """
    # Imported when asked for: a mesh on SQLite needs none of it.
    from sqlalchemy.ext.asyncio import create_async_engine

    directory = _directory(package)

    async def connect() -> Any:
        import asyncpg

        return await asyncpg.connect(**driver_arguments(owner_url))

    engine = create_async_engine(owner_url, async_creator=connect, poolclass=NullPool, hide_parameters=True)
    try:
        for attempt in range(ATTEMPTS):
            try:
                async with engine.begin() as connection:
                    await connection.run_sync(_migrate, directory, schema, roles)
                break
            except DBAPIError as error:
                if getattr(error.orig, "sqlstate", None) not in _IN_USE or attempt == ATTEMPTS - 1:
                    raise
                log.warning("tables of %s are in use, the migration begins again: %s", schema, error.orig)
            await asyncio.sleep(PAUSE_S)
    finally:
        await engine.dispose()
    return _newest(directory)


def _migrate(connection: Connection, directory: Path, schema: str, roles: ServiceRoles) -> None:
    key = int.from_bytes(hashlib.sha256(b"autodev migrate").digest()[:8], signed=True)
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})
    # Waiting longer for a table that somebody uses would hold up everybody who comes after.
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
    quoted = connection.dialect.identifier_preparer.quote(schema)
    connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {quoted}")
    connection.exec_driver_sql(f"SET LOCAL search_path = {quoted}")
    _upgrade(connection, directory)
    make_roles(connection, roles)
    secure(connection, schema, roles)


def _check(connection: Connection, directory: Path, schema: str, roles: ServiceRoles) -> None:
    current, newest = _current(connection), _newest(directory)
    # A database that is ahead is one that a newer release has migrated, while this one still runs beside it.
    if current is None or current < newest:
        raise NotMigrated(
            f"the schema {schema} is at revision {current or 'none'}, and this service needs {newest}: "
            "run `autodev migrate`"
        )
    require_secured(connection, schema, roles)


def _directory(package: str) -> Path:
    return Path(str(files(package) / "migrations"))


def _newest(directory: Path) -> str:
    return max(path.stem.split("_")[0] for path in (directory / "versions").glob("[0-9]*.py"))


def _upgrade(connection: Connection, directory: Path) -> None:
    current = _current(connection)
    if current is not None and current >= _newest(directory):
        return
    # Alembic is slow to import and needed only when something is to be done.
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    script = ScriptDirectory(str(directory))
    with EnvironmentContext(
        Config(), script, fn=lambda revision, _: script._upgrade_revs("head", revision)
    ) as environment:
        environment.configure(connection=connection, transactional_ddl=False)
        environment.run_migrations()


def _current(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()
