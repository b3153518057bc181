"""Which database a service's own settings name, for commands that work on it without the service."""

import os
from typing import Any

from pydantic import ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from autodev_cli.errors import CommandError
from autodev_cli.stated import stated_here
from autodev_runtime.database_settings import DatabaseSettings
from autodev_runtime.database_urls import WITH_DRIVER, check_parameters

SQLITE, POSTGRESQL = "sqlite+aiosqlite", WITH_DRIVER.removesuffix("://")


class _Given(DatabaseSettings):
    """Settings of no one service: a variable without a service's name, as HOST, is none of them."""

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, *_: Any, **__: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


def database_settings(service: str, data_dir: os.PathLike[str]) -> DatabaseSettings:
    """Only what names a database: the other settings are for the service itself to check. Raises CommandError."""
    prefix = f"AUTODEV_{service.upper()}_"
    try:
        return _Given(
            port=0,
            data_dir=os.environ.get(f"{prefix}DATA_DIR", data_dir),
            database_url=stated_here(f"{prefix}DATABASE_URL"),
            database_all_tenants_url=stated_here(f"{prefix}DATABASE_ALL_TENANTS_URL"),
        )
    except ValidationError as error:
        wrong = error.errors()[0]
        variable = f"{prefix}{str(wrong['loc'][0]).upper()}"
        raise CommandError(f"{variable}: {wrong['msg'].removeprefix('Value error, ')}") from None


def parsed_url(source: str, url: str, *drivers: str) -> URL:
    """The URL's parts. Raises CommandError, which says where it was given and shows no password."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise CommandError(f"{source} is no database's URL: give postgresql://user:password@host/database") from error
    if parsed.drivername not in drivers:
        raise CommandError(f"{source} begins with {parsed.drivername}://, which is none of: {', '.join(drivers)}")
    try:
        check_parameters(url)
    except ValueError as error:
        raise CommandError(f"{source}: {error}") from None
    return parsed
