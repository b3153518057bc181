"""The migrations and the models say the same."""

from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from autodev_capability.store.rows import Base
from tests.integration.capability.parts import Parts


async def test_the_migrations_make_the_schema_of_the_models(parts: Parts) -> None:
    differences: list[Any] = []

    def compare(connection: Connection) -> None:
        differences.extend(compare_metadata(MigrationContext.configure(connection), Base.metadata))

    await parts.database.run(compare)
    assert differences == []
