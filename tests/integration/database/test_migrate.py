"""Migrating PostgreSQL: as the owner, once however often and from wherever it is asked for; and who may not serve."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError

from autodev_runtime.database import Database
from autodev_runtime.migrations import NotMigrated, migrate, upgrade
from autodev_runtime.postgresql import DatabaseOptions
from autodev_runtime.row_security import RoleUnfit, ServiceRoles, roles_of
from tests.mesh import eventually
from tests.postgresql import OWNER, SERVICES, SUPERUSER, Server, TestDatabase

FRESH = ("fresh", "fresh_all")
OPTIONS = DatabaseOptions(schema="fitness")


@pytest.fixture
def bare(postgresql: Server) -> Iterator[TestDatabase]:
    """A database in which nothing was migrated."""
    with postgresql.bare(*FRESH) as database:
        yield database


def roles(database: TestDatabase, user: str = "autodev_fitness") -> ServiceRoles:
    return roles_of(database.url(user), OPTIONS)


async def migrate_fitness(database: TestDatabase, user: str = "autodev_fitness") -> str:
    return await migrate(database.url(OWNER), "autodev_fitness", "fitness", roles(database, user))


async def serves(database: TestDatabase, user: str = "autodev_fitness") -> None:
    """What the service does when it starts."""
    async with Database(database.url(user), OPTIONS) as opened:
        await upgrade(opened, "autodev_fitness")
        await opened.ready()


async def test_migrating_twice_is_migrating_once(bare: TestDatabase) -> None:
    assert await migrate_fitness(bare) == await migrate_fitness(bare)
    await serves(bare)


async def test_replicas_that_migrate_at_once_make_one_schema(bare: TestDatabase) -> None:
    await asyncio.gather(*(migrate_fitness(bare) for _ in range(4)))
    await serves(bare)


async def test_missing_roles_are_made_with_the_passwords_of_the_settings(bare: TestDatabase) -> None:
    await migrate_fitness(bare, "fresh")
    await serves(bare, "fresh")


async def test_a_service_does_not_start_before_the_migration(bare: TestDatabase) -> None:
    with pytest.raises(NotMigrated, match="autodev migrate"):
        await serves(bare)


@pytest.mark.parametrize("user", [SUPERUSER, OWNER])
async def test_a_role_that_row_security_does_not_bind_is_refused(bare: TestDatabase, user: str) -> None:
    await migrate_fitness(bare)
    with pytest.raises(RoleUnfit, match=user):
        await serves(bare, user)
    with pytest.raises(RoleUnfit, match=user):
        await migrate_fitness(bare, user)


async def test_a_role_that_may_bypass_row_security_is_refused(bare: TestDatabase) -> None:
    await migrate_fitness(bare, "fresh")
    bare.server.execute("ALTER ROLE fresh BYPASSRLS")
    with pytest.raises(RoleUnfit, match="fresh"):
        await serves(bare, "fresh")
    with pytest.raises(RoleUnfit, match="fresh"):
        await migrate_fitness(bare, "fresh")


async def test_a_role_that_could_become_the_other_is_refused(bare: TestDatabase) -> None:
    await migrate_fitness(bare, "fresh")
    bare.server.execute("GRANT fresh_all TO fresh")
    with pytest.raises(RoleUnfit, match="could become"):
        await migrate_fitness(bare, "fresh")
    with pytest.raises(RoleUnfit, match="could become"):
        await serves(bare, "fresh")


async def test_a_tenant_table_without_row_security_stops_the_service_until_the_next_migration(
    bare: TestDatabase,
) -> None:
    await migrate_fitness(bare)
    bare.server.execute(
        "SET ROLE autodev_owner; CREATE TABLE fitness.forgotten (tenant_id varchar(128))", database=bare.name
    )
    with pytest.raises(RoleUnfit, match="forgotten"):
        await serves(bare)
    await migrate_fitness(bare)
    await serves(bare)


async def test_a_table_that_is_only_added_to_and_could_be_changed_stops_the_service_until_the_next_migration(
    bare: TestDatabase,
) -> None:
    await migrate_fitness(bare)
    bare.server.execute(
        "SET ROLE autodev_owner; CREATE TABLE fitness.kept (id integer);"
        " COMMENT ON TABLE fitness.kept IS 'append-only'; GRANT ALL ON fitness.kept TO autodev_fitness_all",
        database=bare.name,
    )
    with pytest.raises(RoleUnfit, match="may change kept"):
        await serves(bare)
    await migrate_fitness(bare)
    await serves(bare)


async def test_migrating_again_waits_for_no_service_that_is_at_work(bare: TestDatabase) -> None:
    await migrate_fitness(bare)
    service = await bare.connect("autodev_fitness")
    async with service.transaction():
        for table in ("workflow_variants", "signals", "outbox"):
            await service.execute(f"SELECT FROM fitness.{table}")
        async with asyncio.timeout(20):
            await migrate_fitness(bare)
    await service.close()


async def test_a_migration_gives_way_to_a_service_that_has_a_table_and_begins_again(
    bare: TestDatabase, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("autodev_runtime.migrations.LOCK_TIMEOUT", "100ms")
    monkeypatch.setattr("autodev_runtime.migrations.PAUSE_S", 0.05)
    await migrate_fitness(bare)
    bare.server.execute(
        "SET ROLE autodev_owner; CREATE TABLE fitness.forgotten (tenant_id varchar(128))", database=bare.name
    )
    service = await bare.connect(SUPERUSER)
    async with service.transaction():
        await service.execute("SELECT FROM fitness.forgotten")
        migration = asyncio.ensure_future(migrate_fitness(bare))

        async def gave_way() -> bool:
            return "begins again" in caplog.text

        await eventually(gave_way, "the migration gives way")
    await migration
    await service.close()
    await serves(bare)


async def test_a_policy_that_was_changed_is_made_anew(bare: TestDatabase) -> None:
    await migrate_fitness(bare)
    kept = await policies(bare)
    bare.server.execute(
        "ALTER POLICY own_rows ON fitness.signals USING (true)",
        "ALTER POLICY own_rows ON fitness.outbox TO autodev_fitness_all",
        "DROP POLICY all_rows ON fitness.signals",
        database=bare.name,
    )
    assert await policies(bare) != kept
    await migrate_fitness(bare)
    assert await policies(bare) == kept


@pytest.mark.parametrize(
    "change",
    [
        "ALTER POLICY own_rows ON fitness.signals USING (true)",
        "ALTER POLICY own_rows ON fitness.signals WITH CHECK (true)",
        "ALTER POLICY all_rows ON fitness.signals TO autodev_fitness",
        "ALTER POLICY all_rows ON fitness.signals TO autodev_fitness_all, autodev_fitness",
        "CREATE POLICY debugging ON fitness.signals FOR SELECT USING (true)",
    ],
)
async def test_a_policy_that_shows_more_stops_the_service_until_the_next_migration(
    bare: TestDatabase, change: str
) -> None:
    await migrate_fitness(bare)
    kept = await policies(bare)
    bare.server.execute(change, database=bare.name)
    with pytest.raises(RoleUnfit, match="signals"):
        await serves(bare)
    await migrate_fitness(bare)
    assert await policies(bare) == kept
    await serves(bare)


async def test_a_policy_of_a_role_that_is_none_of_the_services_is_left_as_it_is(bare: TestDatabase) -> None:
    await migrate_fitness(bare)
    bare.server.execute(f"CREATE POLICY reports ON fitness.signals TO {SUPERUSER} USING (true)", database=bare.name)
    kept = await policies(bare)
    await serves(bare)
    await migrate_fitness(bare)
    assert await policies(bare) == kept


async def policies(database: TestDatabase) -> list[tuple[object, ...]]:
    connection = await database.connect(SUPERUSER)
    found = await connection.fetch("SELECT * FROM pg_policies ORDER BY tablename, policyname")
    await connection.close()
    return [tuple(each) for each in found]


async def test_a_migration_that_fails_leaves_nothing_behind(bare: TestDatabase) -> None:
    # The last table of the migration is there already.
    bare.server.execute(
        "CREATE SCHEMA fitness AUTHORIZATION autodev_owner",
        "SET ROLE autodev_owner; CREATE TABLE fitness.signals (id integer)",
        database=bare.name,
    )
    with pytest.raises(DBAPIError, match="signals"):
        await migrate_fitness(bare)
    bare.server.execute("DROP TABLE fitness.signals", database=bare.name)
    await migrate_fitness(bare)
    await serves(bare)


def autodev_migrate(
    *arguments: str, cwd: Path, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "autodev_cli", "migrate", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, cwd=cwd, check=False, env=os.environ | (environment or {})
    )


def test_the_command_migrates_every_service_and_may_be_repeated(bare: TestDatabase, tmp_path: Path) -> None:
    urls = {f"AUTODEV_{name.upper()}_DATABASE_URL": bare.url(f"autodev_{name}") for name in SERVICES}
    for _ in range(2):
        done = autodev_migrate("-o", "json", "--owner-url", bare.url(OWNER), cwd=tmp_path, environment=urls)
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert [each["service"] for each in told] == list(SERVICES)
        assert {each["engine"] for each in told} == {"PostgreSQL"}
    asyncio.run(serves(bare))


def test_urls_may_leave_the_driver_out(bare: TestDatabase, tmp_path: Path) -> None:
    def plain(user: str) -> str:
        return bare.url(user).replace("postgresql+asyncpg://", "postgresql://")

    urls = {"AUTODEV_FITNESS_DATABASE_URL": plain("autodev_fitness")}
    done = autodev_migrate("fitness", "--owner-url", plain(OWNER), cwd=tmp_path, environment=urls)
    assert done.returncode == 0, done.stderr


def test_a_services_url_that_is_none_is_said_in_one_line(tmp_path: Path) -> None:
    done = autodev_migrate("fitness", cwd=tmp_path, environment={"AUTODEV_FITNESS_DATABASE_URL": "mysql://u:pw@h/d"})
    assert done.returncode == 1
    assert "AUTODEV_FITNESS_DATABASE_URL: a database's URL begins with postgresql://" in done.stderr
    assert "pw" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_command_makes_sqlite_files_by_default(tmp_path: Path) -> None:
    for _ in range(2):
        done = autodev_migrate("--data-dir", "data", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert {path.stem for path in (tmp_path / "data").glob("*.sqlite3")} == set(SERVICES)


def test_an_owner_without_the_services_urls_makes_no_sqlite_files(tmp_path: Path) -> None:
    done = autodev_migrate(
        *("--owner-url", "postgresql+asyncpg://owner@/autodev"),
        cwd=tmp_path,
        environment={"AUTODEV_FITNESS_DATABASE_URL": "postgresql+asyncpg://autodev_fitness@/autodev"},
    )
    assert done.returncode == 1
    assert "gateway, capability, learning would be on SQLite: set AUTODEV_GATEWAY_DATABASE_URL, " in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / ".autodev").exists()


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (["fitness"], 1, "--owner-url"),
        (["fitness", "--owner-url", "postgresql+asyncpg://owner@/elsewhere"], 1, "elsewhere"),
        (["fitness", "--owner-url", "nonsense"], 1, "--owner-url (or AUTODEV_DATABASE_OWNER_URL) is no database's URL"),
        (["fitness", "--owner-url", "postgresql://owner@here:port/autodev"], 1, "is no database's URL"),
        (["fitness", "--owner-url", "postgresql+psycopg://owner@/autodev"], 1, "begins with postgresql+psycopg://"),
        (["sandbox"], 2, "no service"),
    ],
)
def test_what_is_missing_is_said_in_one_line(
    bare: TestDatabase, tmp_path: Path, arguments: list[str], status: int, told: str
) -> None:
    done = autodev_migrate(
        *arguments, cwd=tmp_path, environment={"AUTODEV_FITNESS_DATABASE_URL": bare.url("autodev_fitness")}
    )
    assert done.returncode == status
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1
