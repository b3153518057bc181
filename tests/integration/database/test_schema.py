"""The migrations make exactly the tables of the models, as the database itself states them."""

import re
from typing import Any

import pytest
from sqlalchemy import Connection, MetaData

from autodev_runtime.migrations import upgrade
from tests.integration.database.test_row_security import SERVICES
from tests.storage import Storage

STATED_BY_POSTGRESQL = (
    "SELECT 'column', table_name, column_name, data_type || coalesce(character_maximum_length::text, ''), is_nullable"
    " FROM information_schema.columns WHERE table_schema = '{schema}'",
    "SELECT 'index', tablename, indexdef FROM pg_indexes WHERE schemaname = '{schema}'",
    "SELECT 'constraint', conrelid::regclass::text, contype::text, pg_get_constraintdef(oid) FROM pg_constraint"
    " WHERE connamespace = '{schema}'::regnamespace",
)
STATED_BY_SQLITE = (
    "SELECT 'column', m.name, c.name, c.type, c.\"notnull\", c.pk FROM sqlite_master m, pragma_table_info(m.name) c"
    " WHERE m.type = 'table'",
    "SELECT 'index', tbl_name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL",
    "SELECT 'unique', m.name, l.origin, l.\"unique\", (SELECT group_concat(name) FROM pragma_index_info(l.name))"
    " FROM sqlite_master m, pragma_index_list(m.name) l WHERE m.type = 'table' AND l.origin <> 'c'",
)
VERSION_TABLE = "alembic_version"


def stated(connection: Connection, schema: str) -> set[tuple[Any, ...]]:
    """Columns, indexes and constraints, without the schema's name."""
    queries = STATED_BY_SQLITE if connection.dialect.name == "sqlite" else STATED_BY_POSTGRESQL
    rows = [row for query in queries for row in connection.exec_driver_sql(query.format(schema=schema))]
    plain = {tuple(_plain(str(value), schema) for value in row) for row in rows}
    return {row for row in plain if row[1] != VERSION_TABLE and not row[1].startswith("sqlite_")}


def _plain(text: str, schema: str) -> str:
    return re.sub(r"\s+", " ", text.replace(f"{schema}.", "").replace('"', "")).strip()


@pytest.mark.parametrize("service", SERVICES)
async def test_the_migrations_make_the_tables_of_the_models(storage: Storage, service: str) -> None:
    async with storage.open(service) as database:
        await upgrade(database, f"autodev_{service}")
    migrated: set[tuple[Any, ...]] = set()
    await storage.as_owner(service, lambda connection: migrated.update(stated(connection, service)))
    modelled = await _modelled(storage, SERVICES[service])
    assert sorted(migrated ^ modelled) == []


async def _modelled(storage: Storage, metadata: MetaData) -> set[tuple[Any, ...]]:
    schema, found = "modelled", set[tuple[Any, ...]]()

    def make(connection: Connection) -> None:
        if connection.dialect.name != "sqlite":
            connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
            connection.exec_driver_sql(f"SET LOCAL search_path = {schema}")
        metadata.create_all(connection)
        found.update(stated(connection, schema))

    await storage.as_owner(schema, make)
    return found
