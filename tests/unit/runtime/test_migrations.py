"""Bringing a database to the schema of the code."""

import asyncio
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from autodev_runtime.database import Database
from autodev_runtime.migrations import upgrade

PACKAGE = "migrated_service"
REVISION = """
import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = {down}
branch_labels = None
depends_on = None


def upgrade() -> None:
    {body}


def downgrade() -> None:
    raise NotImplementedError
"""
FIRST = 'op.create_table("things", sa.Column("id", sa.Integer(), primary_key=True))'
SECOND = 'op.add_column("things", sa.Column("name", sa.String(8)))'
BROKEN = 'op.create_table("half", sa.Column("id", sa.Integer())); op.drop_table("no_such_table")'


@pytest.fixture
def versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The revisions' directory of a package that holds nothing else."""
    directory = tmp_path / PACKAGE / "migrations" / "versions"
    directory.mkdir(parents=True)
    (tmp_path / PACKAGE / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    yield directory
    sys.modules.pop(PACKAGE, None)


def write(versions: Path, revision: str, body: str, down: str | None = None) -> None:
    (versions / f"{revision}_step.py").write_text(REVISION.format(revision=revision, down=repr(down), body=body))


def opened(tmp_path: Path) -> Database:
    return Database(f"sqlite+aiosqlite:///{tmp_path}/things.sqlite3")


async def columns(database: Database, table: str = "things") -> list[str]:
    async with database.engine.connect() as connection:
        return [row.name for row in await connection.execute(text(f"SELECT name FROM pragma_table_info('{table}')"))]


async def test_upgrading_twice_is_upgrading_once(tmp_path: Path, versions: Path) -> None:
    write(versions, "0001", FIRST)
    async with opened(tmp_path) as database:
        for _ in range(2):
            await upgrade(database, PACKAGE)
        assert await columns(database) == ["id"]


async def test_only_what_is_missing_is_applied(tmp_path: Path, versions: Path) -> None:
    write(versions, "0001", FIRST)
    async with opened(tmp_path) as database:
        await upgrade(database, PACKAGE)
        write(versions, "0002", SECOND, down="0001")
        await upgrade(database, PACKAGE)
        assert await columns(database) == ["id", "name"]


async def test_a_revision_that_fails_leaves_nothing_behind(tmp_path: Path, versions: Path) -> None:
    write(versions, "0001", FIRST)
    write(versions, "0002", BROKEN, down="0001")
    async with opened(tmp_path) as database:
        with pytest.raises(Exception, match="no_such_table"):
            await upgrade(database, PACKAGE)
        assert await columns(database) == await columns(database, "half") == []
        write(versions, "0002", SECOND, down="0001")
        await upgrade(database, PACKAGE)
        assert await columns(database) == ["id", "name"]


async def test_replicas_that_start_together_upgrade_once(tmp_path: Path, versions: Path) -> None:
    write(versions, "0001", FIRST)
    async with opened(tmp_path) as one, opened(tmp_path) as other:
        await asyncio.gather(upgrade(one, PACKAGE), upgrade(other, PACKAGE))
        assert await columns(one) == await columns(other) == ["id"]
