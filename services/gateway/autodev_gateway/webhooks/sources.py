"""Who may send webhooks: each source has a name, which is in its address, a tenant, and secrets."""

import asyncio
import logging
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from autodev_gateway import metrics
from autodev_gateway.webhooks.signature import secret_from
from autodev_runtime.starting import CannotStart

log = logging.getLogger(__name__)

SOURCE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,30}")
LOOK_S = 1.0
MAX_SOURCES = 10_000


class SecretsFileError(CannotStart):
    """A file of sources that cannot be used; the gateway must not start with it."""


@dataclass(frozen=True, slots=True)
class Source:
    """One sender."""

    name: str
    tenant: str
    secrets: tuple[bytes, ...] = field(repr=False)
    """Any of them may have signed: while secrets are exchanged both are here."""


def _named(name: str) -> str:
    if SOURCE_NAME.fullmatch(name) is None:
        raise ValueError("a source's name is 1 to 31 of a-z 0-9 _ - and begins with a letter or a digit")
    return name


def _secret(text: str) -> str:
    secret_from(text)
    return text


class _SourceLine(BaseModel):
    model_config = ConfigDict(extra="forbid")

    tenant: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:/@-]{1,128}$")]
    secrets: list[Annotated[str, AfterValidator(_secret)]] = Field(min_length=1, max_length=8)


_FILE = TypeAdapter(
    Annotated[dict[Annotated[str, AfterValidator(_named)], _SourceLine], Field(min_length=1, max_length=MAX_SOURCES)]
)


class Sources:
    """The sources of a file, which may change while the gateway runs."""

    def __init__(self, path: Path) -> None:
        """Raises SecretsFileError."""
        self._path = path
        self._seen = _stamp(path)
        self._sources = sources_in(path)

    def named(self, name: str) -> Source | None:
        """The source; None where there is none of that name."""
        return self._sources.get(name)

    async def watch(self) -> None:
        """Read the file again when it changes, for ever."""
        while True:
            await asyncio.sleep(LOOK_S)
            self.look()

    def look(self) -> None:
        """Read the file again if it has changed. One that cannot be used leaves the sources as they were."""
        stamp = _stamp(self._path)
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            self._sources = sources_in(self._path)
        except SecretsFileError as error:
            metrics.WEBHOOK_SECRETS_REFUSED.set(1)
            log.error("the webhooks' sources stay as they were: %s", error)
            return
        metrics.WEBHOOK_SECRETS_REFUSED.set(0)
        log.info("read the webhooks' sources again: %d", len(self._sources))


def sources_in(path: Path) -> dict[str, Source]:
    """The sources of a JSON file: names to objects with `tenant` and `secrets`. Raises SecretsFileError."""
    try:
        lines = _FILE.validate_json(path.read_bytes())
    except OSError as error:
        raise SecretsFileError(f"{path}: {error.strerror}") from error
    except ValidationError as error:
        # Without the cause: its text would hold the secrets.
        raise SecretsFileError(f"{path}: {_flaws(error)}") from None
    return {name: Source(name, line.tenant, tuple(map(secret_from, line.secrets))) for name, line in lines.items()}


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _flaws(error: ValidationError) -> str:
    found: list[Any] = error.errors(include_input=False, include_url=False, include_context=False)
    return "; ".join(f"{'.'.join(map(str, flaw['loc']))}: {flaw['msg']}" for flaw in found[:5])
