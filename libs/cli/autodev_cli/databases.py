"""Which database a service's own settings name, for commands that work on it without the service."""

import os

from autodev_runtime.database_settings import DatabaseSettings
from autodev_runtime.secret_files import stated


def database_settings(service: str, data_dir: os.PathLike[str]) -> DatabaseSettings:
    """Only what names a database: the other settings are for the service itself to check."""
    prefix = f"AUTODEV_{service.upper()}_"
    return DatabaseSettings(
        port=0,
        data_dir=os.environ.get(f"{prefix}DATA_DIR", data_dir),
        database_url=stated(f"{prefix}DATABASE_URL"),
        database_all_tenants_url=stated(f"{prefix}DATABASE_ALL_TENANTS_URL"),
    )
