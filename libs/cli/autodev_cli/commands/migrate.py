"""`autodev migrate`: the services' databases, brought to the schema of this release."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Annotated

import typer
from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError

from autodev_cli.databases import POSTGRESQL, SQLITE, database_settings, parsed_url
from autodev_cli.errors import CommandError, UsageError
from autodev_cli.options import DEFAULT_DATA_DIR, DataDir, Output, OutputFormat, new_app
from autodev_cli.output import print_json, print_table
from autodev_cli.stated import stated_here
from autodev_runtime.database import Database
from autodev_runtime.database_settings import DatabaseSettings
from autodev_runtime.database_urls import with_driver
from autodev_runtime.errors import AutoDevError
from autodev_runtime.migrations import NotMigrated, migrate, upgrade
from autodev_runtime.row_security import RoleUnfit, roles_of

SERVICES = ("gateway", "capability", "learning", "fitness")
OWNER_URL = "AUTODEV_DATABASE_OWNER_URL"

app = new_app()


@dataclass(frozen=True)
class Migrated:
    """A service's database, at the revision of this release."""

    service: str
    engine: str
    place: str


@app.command("migrate")
def migrate_databases(
    services: Annotated[
        list[str] | None, typer.Argument(help=f"{', '.join(SERVICES)}. Default: all.", show_default=False)
    ] = None,
    owner_url: Annotated[
        str | None,
        typer.Option(
            envvar=OWNER_URL,
            help="PostgreSQL's URL, with the role that owns the tables. Whoever may list this machine's processes "
            "reads a password in it: better by the variable, or by the file that stands for it in AUTODEV_SECRETS_DIR.",
            show_default=False,
        ),
    ] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    output: OutputFormat = Output.TEXT,
) -> None:
    """Bring the services' databases to the schema of this release; harmless where it is done already.

    Each service's database is the one that its own settings name (AUTODEV_<SERVICE>_DATABASE_URL): PostgreSQL, where
    the schema, its tables, the service's two roles and row-level security are made as the owner; or an SQLite file,
    which the service also brings along by itself when it starts.
    """
    unknown = sorted(set(services or ()) - set(SERVICES))
    if unknown:
        raise UsageError(f"no service with a database is called {unknown[0]!r}: {', '.join(SERVICES)}")
    owner_url = owner_url or stated_here(OWNER_URL) or None
    plans = [(name, database_settings(name, data_dir)) for name in services or SERVICES]
    if owner_url is not None:
        _require_postgresql(plans)
    done = [asyncio.run(_migrate(name, settings, owner_url)) for name, settings in plans]
    if output is Output.JSON:
        print_json([vars(each) for each in done])
    else:
        print_table(("service", "engine", "where"), [(d.service, d.engine, d.place) for d in done], empty="")


def _require_postgresql(plans: Sequence[tuple[str, DatabaseSettings]]) -> None:
    """Raises CommandError where a service would be on SQLite, of which no owner's URL is ever given."""
    left = [name for name, settings in plans if not settings.database_url or settings.database_url.startswith("sqlite")]
    if left:
        raise CommandError(
            f"an owner's URL was given, and {', '.join(left)} would be on SQLite: set "
            f"{', '.join(f'AUTODEV_{name.upper()}_DATABASE_URL' for name in left)}, or name only the services that are "
            "on PostgreSQL"
        )


async def _migrate(service: str, settings: DatabaseSettings, owner_url: str | None) -> Migrated:
    package = f"autodev_{service}"
    if find_spec(package) is None:
        raise CommandError(f"the {service} service is not installed here: migrate it where it is")
    url, options = settings.database_url_for(service), settings.database_options(service)
    place = parsed_url(f"AUTODEV_{service.upper()}_DATABASE_URL", url, SQLITE, POSTGRESQL)
    if options.all_tenants_url:
        parsed_url(f"AUTODEV_{service.upper()}_DATABASE_ALL_TENANTS_URL", options.all_tenants_url, POSTGRESQL)
    try:
        if place.drivername == SQLITE:
            async with Database(url) as database:
                await upgrade(database, package)
            return Migrated(service, "SQLite", str(place.database))
        owner = _owner(service, place, owner_url)
        await migrate(owner, package, service, roles_of(url, options))
        async with Database(url, options) as database:
            # As the service itself will: its roles can connect, and are bound.
            await upgrade(database, package)
            await database.ready()
    except (AutoDevError, DBAPIError, OSError, RoleUnfit, NotMigrated) as error:
        raise CommandError(f"{service} could not be migrated: {error}") from error
    return Migrated(service, "PostgreSQL", f"{place.database}, schema {service}")


def _owner(service: str, place: URL, owner_url: str | None) -> str:
    if owner_url is None:
        raise CommandError(f"{service} is on PostgreSQL: give the owner's URL by --owner-url or {OWNER_URL}")
    owner_url = with_driver(owner_url)
    owner = parsed_url(f"--owner-url (or {OWNER_URL})", owner_url, POSTGRESQL)
    if place.database != owner.database:
        raise CommandError(
            f"{service} is in the database {place.database!r}, and the owner's URL names {owner.database!r}: "
            "migrate each by a command of its own"
        )
    return owner_url
