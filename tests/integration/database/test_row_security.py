"""PostgreSQL itself keeps tenants apart: raw connections with a service's own roles, and none of the service's code."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
from sqlalchemy import JSON, Boolean, DateTime, Float, Integer, LargeBinary, MetaData, Table

import autodev_capability.store.rows
import autodev_fitness.rows
import autodev_gateway.rows
import autodev_learning.rows
from autodev_runtime.row_security import APPEND_ONLY
from tests.postgresql import OWNER, SUPERUSER, Server, TestDatabase

ACME, GLOBEX = "acme", "globex"
SERVICES: dict[str, MetaData] = {
    "gateway": autodev_gateway.rows.Base.metadata,
    "capability": autodev_capability.store.rows.Base.metadata,
    "learning": autodev_learning.rows.Base.metadata,
    "fitness": autodev_fitness.rows.Base.metadata,
}
TABLES = [
    pytest.param(service, table, id=f"{service}.{table.name}")
    for service, metadata in SERVICES.items()
    for table in metadata.sorted_tables
    if "tenant_id" in table.c
]
OF_NO_TENANT = {"key_revision", "weights"}
"""Tables that hold nothing of a tenant's: a counter, and settings of the service."""
ADDED_TO = [
    pytest.param(service, table, id=f"{service}.{table.name}")
    for service, metadata in SERVICES.items()
    for table in metadata.sorted_tables
    if table.comment == APPEND_ONLY
]
REFUSED = asyncpg.InsufficientPrivilegeError


@pytest.fixture(scope="module")
def database(postgresql: Server) -> Iterator[TestDatabase]:
    with postgresql.database() as made:
        yield made


@contextlib.asynccontextmanager
async def connected(database: TestDatabase, user: str) -> AsyncIterator["asyncpg.Connection[Any]"]:
    connection = await database.connect(user)
    try:
        yield connection
    finally:
        await connection.close()


@contextlib.asynccontextmanager
async def acting(database: TestDatabase, service: str, tenant: str) -> AsyncIterator["asyncpg.Connection[Any]"]:
    """A transaction of the service's role that names its tenant, undone at the end."""
    async with connected(database, f"autodev_{service}") as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("SELECT set_config('autodev.tenant', $1, true)", tenant)
        try:
            yield connection
        finally:
            await transaction.rollback()


def row_of(table: Table, tenant: str) -> dict[str, Any]:
    """A row that the table takes, whatever its columns."""
    return {column.name: _value(table, column, tenant) for column in table.columns}


def _value(table: Table, column: Any, tenant: str) -> Any:
    if column.name == "tenant_id":
        return tenant
    kind = column.type
    if isinstance(kind, Boolean):
        return True
    if isinstance(kind, Integer):
        return 1 if tenant == ACME else 2
    if isinstance(kind, Float):
        return 1.0
    if isinstance(kind, LargeBinary):
        return b"x"
    if isinstance(kind, JSON):
        return "[]"
    if getattr(kind, "impl", None) is not None and isinstance(kind.impl, DateTime):
        return datetime(2026, 1, 1, tzinfo=UTC)
    return tenant[: getattr(kind, "length", None)]


def insert(service: str, table: Table) -> str:
    columns = [column.name for column in table.columns]
    places = ", ".join(f"${number}" for number in range(1, len(columns) + 1))
    return f'INSERT INTO {service}."{table.name}" ({", ".join(columns)}) VALUES ({places})'


@pytest.fixture
async def filled(database: TestDatabase) -> TestDatabase:
    """Each tenant table of each service holds one row of each of two tenants."""
    async with connected(database, SUPERUSER) as connection:
        for service, metadata in SERVICES.items():
            for table in metadata.sorted_tables:
                if await connection.fetchval(f'SELECT count(*) FROM {service}."{table.name}"') == 0:
                    for tenant in (ACME, GLOBEX):
                        await connection.execute(insert(service, table), *row_of(table, tenant).values())
    return database


async def tenants_in(connection: "asyncpg.Connection[Any]", service: str, table: Table) -> list[str]:
    rows = await connection.fetch(f'SELECT tenant_id FROM {service}."{table.name}" ORDER BY tenant_id')
    return [row["tenant_id"] for row in rows]


async def changes(connection: "asyncpg.Connection[Any]", table: Table, change: str, told: str) -> None:
    """A change does what it must, and nothing at all to a table that is only added to."""
    if table.comment == APPEND_ONLY:
        with pytest.raises(REFUSED, match="permission denied"):
            await connection.execute(change)
    else:
        assert await connection.execute(change) == told


@pytest.mark.parametrize(("service", "table"), ADDED_TO)
async def test_what_is_only_added_to_is_changed_by_neither_role(
    filled: TestDatabase, service: str, table: Table
) -> None:
    for user in (f"autodev_{service}", f"autodev_{service}_all"):
        async with connected(filled, user) as connection:
            for change in (
                f"UPDATE {service}.{table.name} SET tenant_id = tenant_id",
                f"DELETE FROM {service}.{table.name}",
            ):
                with pytest.raises(REFUSED, match="permission denied"):
                    await connection.execute(change)


@pytest.mark.parametrize("service", SERVICES)
async def test_every_table_of_the_database_is_one_that_is_tested_here(filled: TestDatabase, service: str) -> None:
    async with connected(filled, SUPERUSER) as connection:
        rows = await connection.fetch(
            "SELECT relname, relrowsecurity FROM pg_class"
            " WHERE relnamespace = to_regnamespace($1) AND relkind IN ('r', 'p', 'm', 'v', 'f')",
            service,
        )
    tested = {table.name for table in SERVICES[service].sorted_tables if "tenant_id" in table.c}
    assert {name for name, secured in rows if secured} == tested
    of_no_tenant = {table.name for table in SERVICES[service].sorted_tables} - tested
    assert {name for name, secured in rows if not secured} == {"alembic_version"} | of_no_tenant
    assert of_no_tenant <= OF_NO_TENANT


@pytest.mark.parametrize(("service", "table"), TABLES)
async def test_without_a_tenant_no_row_is_read_or_written(filled: TestDatabase, service: str, table: Table) -> None:
    async with connected(filled, f"autodev_{service}") as connection:
        assert await tenants_in(connection, service, table) == []
        for change, told in (
            (f'UPDATE {service}."{table.name}" SET tenant_id = tenant_id', "UPDATE 0"),
            (f'DELETE FROM {service}."{table.name}"', "DELETE 0"),
        ):
            await changes(connection, table, change, told)
        for tenant in (ACME, ""):
            with pytest.raises(REFUSED):
                await connection.execute(insert(service, table), *row_of(table, tenant).values())


@pytest.mark.parametrize(("service", "table"), TABLES)
async def test_a_tenant_reads_and_writes_its_own_rows_alone(filled: TestDatabase, service: str, table: Table) -> None:
    name = f'{service}."{table.name}"'
    async with acting(filled, service, ACME) as connection:
        assert await tenants_in(connection, service, table) == [ACME]
    for change, told in (
        (f"UPDATE {name} SET tenant_id = tenant_id", "UPDATE 1"),
        (f"UPDATE {name} SET tenant_id = 'acme' WHERE tenant_id = 'globex'", "UPDATE 0"),
        (f"DELETE FROM {name} WHERE tenant_id = 'globex'", "DELETE 0"),
    ):
        async with acting(filled, service, ACME) as connection:
            await changes(connection, table, change, told)
    async with acting(filled, service, ACME) as connection:
        with pytest.raises(REFUSED):
            await connection.execute(f"UPDATE {name} SET tenant_id = 'globex'")
    async with acting(filled, service, ACME) as connection:
        with pytest.raises(REFUSED, match="row-level security"):
            await connection.execute(insert(service, table), *row_of(table, GLOBEX).values())
    async with connected(filled, SUPERUSER) as connection:
        assert await tenants_in(connection, service, table) == [ACME, GLOBEX]


@pytest.mark.parametrize(("service", "table"), TABLES)
async def test_the_second_role_serves_all_tenants(filled: TestDatabase, service: str, table: Table) -> None:
    async with connected(filled, f"autodev_{service}_all") as connection:
        assert await tenants_in(connection, service, table) == [ACME, GLOBEX]


@pytest.mark.parametrize("service", SERVICES)
async def test_a_tenant_ends_with_its_transaction(filled: TestDatabase, service: str) -> None:
    table = next(table for table in SERVICES[service].sorted_tables if "tenant_id" in table.c)
    async with connected(filled, f"autodev_{service}") as connection:
        async with connection.transaction():
            await connection.execute("SELECT set_config('autodev.tenant', $1, true)", ACME)
            assert await tenants_in(connection, service, table) == [ACME]
        assert await tenants_in(connection, service, table) == []


@pytest.mark.parametrize("service", SERVICES)
async def test_a_services_role_cannot_become_one_that_sees_more(filled: TestDatabase, service: str) -> None:
    table = next(table for table in SERVICES[service].sorted_tables if "tenant_id" in table.c)
    others = [other for other in SERVICES if other != service]
    roles = [f"autodev_{service}", f"autodev_{service}_all"]
    refused = [
        f"SET SESSION AUTHORIZATION {OWNER}",
        f"GRANT {roles[1]} TO {roles[0]}",
        f'ALTER TABLE {service}."{table.name}" DISABLE ROW LEVEL SECURITY',
        f'ALTER POLICY own_rows ON {service}."{table.name}" USING (true)',
        f'DROP POLICY own_rows ON {service}."{table.name}"',
        f'TRUNCATE {service}."{table.name}"',
        f"CREATE TABLE {service}.mine (id integer)",
        f"CREATE FUNCTION {service}.mine() RETURNS integer SECURITY DEFINER LANGUAGE sql AS 'SELECT 1'",
        f"UPDATE {service}.alembic_version SET version_num = '0'",
        *(f"SELECT 1 FROM {other}.alembic_version" for other in others),
    ]
    for user, other in (roles, reversed(roles)):
        becoming = [f"SET ROLE {role}" for role in (other, OWNER, SUPERUSER)]
        becoming += [f"SELECT set_config('role', '{role}', false)" for role in (other, OWNER, SUPERUSER)]
        async with connected(filled, user) as connection:
            for statement in refused + becoming:
                with pytest.raises(REFUSED):
                    await connection.execute(statement)
    async with connected(filled, f"autodev_{service}") as connection:
        await connection.execute("SET row_security = off")
        # Not more rows, but none: the setting turns what would be left out into an error.
        with pytest.raises(REFUSED):
            await tenants_in(connection, service, table)
