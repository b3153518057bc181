"""Brings a service's database to the schema of its code: Alembic revisions in the service's `migrations/versions`."""

from importlib.resources import files
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from autodev_runtime.database import Database


async def upgrade(database: Database, package: str) -> None:
    """Apply what is missing, in one transaction. Safe to run again, and at every start."""
    directory = Path(str(files(package) / "migrations"))
    await database.run(lambda connection: _upgrade(connection, directory))


def _upgrade(connection: Connection, directory: Path) -> None:
    newest = max(path.stem.split("_")[0] for path in (directory / "versions").glob("[0-9]*.py"))
    if _current(connection) == newest:
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
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
