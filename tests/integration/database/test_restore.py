"""The operators' page's way to save PostgreSQL and to have it back: its own commands, on another server."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest

from autodev_runtime.migrations import migrate
from autodev_runtime.postgresql import DatabaseOptions
from autodev_runtime.row_security import roles_of
from tests.conftest import require
from tests.postgresql import OWNER, SERVICES, SUPERUSER, Server, TestDatabase, binaries

PAGE = (Path(__file__).parents[3] / "docs/operations.md").read_text()
ON_POSTGRESQL = PAGE.split("\n**PostgreSQL**, while services run")[1].split("\n**SQLite**")[0]
SAVE, *RESTORE = re.findall(r"^    (\S.*)$", ON_POSTGRESQL, re.MULTILINE)
URL = f"postgresql://{OWNER}:...@db.example/autodev"
OLDER = "0007"
"""A revision of the gateway's after which tables were added."""


@pytest.fixture
def bare(postgresql: Server) -> Iterator[TestDatabase]:
    """A database in which nothing was migrated."""
    with postgresql.bare() as database:
        yield database


@pytest.fixture
def elsewhere() -> Iterator[TestDatabase]:
    """An empty database on a server that has nothing but the owner."""
    programs = binaries()
    require(programs, "PostgreSQL is not installed")
    assert programs is not None
    server = Server(programs)
    try:
        server.make_bare()
        server.execute(f"CREATE ROLE {OWNER} LOGIN CREATEROLE", f"CREATE DATABASE autodev OWNER {OWNER}")
        yield TestDatabase(server, "autodev")
    finally:
        server.remove()


def older_gateway(directory: Path) -> str:
    """A package with the gateway's migrations up to an older revision."""
    package = directory / "older_gateway"
    shutil.copytree(str(files("autodev_gateway") / "migrations"), package / "migrations")
    (package / "__init__.py").touch()
    for revision in (package / "migrations/versions").glob("[0-9]*.py"):
        if revision.name[:4] > OLDER:
            revision.unlink()
    return package.name


async def migrate_as_before(database: TestDatabase, gateway: str) -> None:
    """Bring a database to the schema of a release that had an older gateway."""
    for service in SERVICES:
        roles = roles_of(database.url(f"autodev_{service}"), DatabaseOptions(schema=service))
        package = gateway if service == "gateway" else f"autodev_{service}"
        await migrate(database.url(OWNER), package, service, roles)


def run(command: str, database: TestDatabase, directory: Path) -> None:
    """Run a command of the page as somebody who works with this database."""
    directory_of_server = database.server.directory
    stated = command.replace(URL, f"postgresql://{OWNER}@/{database.name}?host={directory_of_server}")
    programs = f"{Path(sys.executable).parent}:{binaries()}"
    urls = {f"AUTODEV_{each.upper()}_DATABASE_URL": database.url(f"autodev_{each}") for each in SERVICES}
    environment = os.environ | urls | {"AUTODEV_DATABASE_OWNER_URL": database.url(OWNER)}
    environment["PATH"] = f"{programs}:{environment['PATH']}"
    done = subprocess.run(
        shlex.split(stated), cwd=directory, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, f"{command}: {done.stderr}"


async def test_a_dump_of_an_older_release_is_restored_and_brought_to_this_one(
    bare: TestDatabase, elsewhere: TestDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    await migrate_as_before(bare, older_gateway(tmp_path))
    bare.server.execute("INSERT INTO gateway.event_trims VALUES ('acme', 7)", database=bare.name)
    run(SAVE, bare, tmp_path)
    # The last of them is `autodev migrate`, which connects as each service and checks its roles and policies.
    for command in RESTORE:
        run(command, elsewhere, tmp_path)
    connection = await elsewhere.connect(SUPERUSER)
    assert [tuple(row) for row in await connection.fetch("SELECT * FROM gateway.event_trims")] == [("acme", 7)]
    assert await connection.fetchval("SELECT version_num FROM gateway.alembic_version") > OLDER
    await connection.close()
