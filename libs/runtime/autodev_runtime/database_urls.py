"""Databases' URLs, as people write them and as SQLAlchemy and the driver need them."""

from collections.abc import Mapping
from typing import Annotated
from urllib.parse import parse_qs, urlencode

from pydantic import AfterValidator

WITHOUT_DRIVER = ("postgresql://", "postgres://")
WITH_DRIVER = "postgresql+asyncpg://"
SQLITE = "sqlite+aiosqlite://"

LIBPQ_ONLY = frozenset(
    {
        "sslmode",
        "sslcert",
        "sslkey",
        "sslpassword",
        "sslrootcert",
        "sslcrl",
        "sslnegotiation",
        "ssl_min_protocol_version",
        "ssl_max_protocol_version",
    }
)
"""What the driver takes in a URL of its own, and not as an argument."""
ARGUMENTS = frozenset(
    {"host", "port", "passfile", "service", "servicefile", "ssl", "target_session_attrs", "krbsrvname", "gsslib"}
)
MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")


def with_driver(url: str) -> str:
    """The URL, with the driver that services use where it names PostgreSQL and no driver."""
    for scheme in WITHOUT_DRIVER:
        if url.startswith(scheme):
            return WITH_DRIVER + url.removeprefix(scheme)
    return url


def check_parameters(url: str) -> str:
    """The URL. Raises ValueError where one to PostgreSQL has a parameter that would not be obeyed; shows no value."""
    if not url.startswith(WITH_DRIVER):
        return url
    stated = parse_qs(url.rpartition("@")[2].partition("?")[2], keep_blank_values=True)
    usable = LIBPQ_ONLY | ARGUMENTS
    if unknown := sorted(set(stated) - usable):
        raise ValueError(f"a database's URL cannot have {', '.join(unknown)} here; it can: {', '.join(sorted(usable))}")
    for name in {"sslmode", "ssl"} & set(stated):
        if not set(stated[name]) <= set(MODES):
            raise ValueError(f"{name} in a database's URL is one of: {', '.join(MODES)}")
    return url


def libpq_url(parameters: Mapping[str, str | tuple[str, ...]]) -> str:
    """A URL of the driver's own that states nothing else."""
    return f"postgresql://?{urlencode(parameters, doseq=True)}"


def check_engine(url: str) -> str:
    """The URL. Raises ValueError where it names another database than services work with; shows nothing of it."""
    if url and not url.startswith((WITH_DRIVER, SQLITE)):
        raise ValueError(f"a database's URL begins with {WITHOUT_DRIVER[0]} or {SQLITE}")
    return url


DatabaseUrl = Annotated[
    str, AfterValidator(with_driver), AfterValidator(check_engine), AfterValidator(check_parameters)
]
