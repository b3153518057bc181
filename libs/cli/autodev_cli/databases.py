"""Which database a service's own settings name, for commands that work on it without the service."""

import os

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from autodev_cli.errors import CommandError
from autodev_runtime.database_settings import DatabaseSettings
from autodev_runtime.database_urls import WITH_DRIVER
from autodev_runtime.secret_files import stated

SQLITE, POSTGRESQL = "sqlite+aiosqlite", WITH_DRIVER.removesuffix("://")


def database_settings(service: str, data_dir: os.PathLike[str]) -> DatabaseSettings:
    """Only what names a database: the other settings are for the service itself to check."""
    prefix = f"AUTODEV_{service.upper()}_"
    return DatabaseSettings(
        port=0,
        data_dir=os.environ.get(f"{prefix}DATA_DIR", data_dir),
        database_url=stated(f"{prefix}DATABASE_URL"),
        database_all_tenants_url=stated(f"{prefix}DATABASE_ALL_TENANTS_URL"),
    )


def parsed_url(source: str, url: str, *drivers: str) -> URL:
    """The URL's parts. Raises CommandError, which says where it was given and shows no password."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise CommandError(f"{source} is no database's URL: give postgresql://user:password@host/database") from error
    if parsed.drivername not in drivers:
        raise CommandError(f"{source} begins with {parsed.drivername}://, which is none of: {', '.join(drivers)}")
    return parsed
