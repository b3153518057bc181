"""Databases' URLs, as people write them and as SQLAlchemy needs them."""

from typing import Annotated

from pydantic import AfterValidator

WITHOUT_DRIVER = ("postgresql://", "postgres://")
WITH_DRIVER = "postgresql+asyncpg://"


def with_driver(url: str) -> str:
    """The URL, with the driver that services use where it names PostgreSQL and no driver."""
    for scheme in WITHOUT_DRIVER:
        if url.startswith(scheme):
            return WITH_DRIVER + url.removeprefix(scheme)
    return url


DatabaseUrl = Annotated[str, AfterValidator(with_driver)]
