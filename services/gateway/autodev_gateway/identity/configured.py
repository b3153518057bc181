"""API keys that the settings name: those of a file, and the development keys that the gateway makes for itself.

They are in memory only. A key is 256 random bits, so its SHA-256 is all that has to be kept.
"""

import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, StringConstraints, TypeAdapter, ValidationError, field_validator

from autodev_gateway.identity.texts import PREFIX_LENGTH, digest_of, new_text
from autodev_runtime.identity import Caller, Identity, Role
from autodev_runtime.starting import CannotStart

log = logging.getLogger(__name__)

SHORTEST_KEY = 32
HASH_SHOWN = 12
DEVELOPER_ROLES = frozenset({Role.RUNTIME, Role.REVIEWER, Role.OPERATOR})

Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:/@-]{1,128}$")]


class KeyFileError(CannotStart):
    """A file of keys that cannot be used; the gateway must not start with it."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A credential: the hash of the key, and whom it makes its holder."""

    sha256: str
    prefix: str
    """The key's first characters, for people to tell keys apart; empty where only the hash is known."""
    identity: Identity


class ConfiguredKeys:
    """The keys that the settings name, by the digests of their texts."""

    def __init__(self, keys: Iterable[ApiKey]) -> None:
        self._callers = {bytes.fromhex(key.sha256): _caller(key) for key in keys}

    def find(self, digest: bytes) -> Caller | None:
        """Whom the key makes its holder; None where it is none of these."""
        return self._callers.get(digest)


def _caller(key: ApiKey) -> Caller:
    identity = key.identity
    return Caller(identity.tenant, identity.subject, identity.roles, credential=f"file:{key.sha256[:HASH_SHOWN]}")


class _KeyLine(BaseModel):
    model_config = ConfigDict(extra="forbid")

    tenant: Identifier
    subject: Identifier
    roles: frozenset[Role] = frozenset()
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]

    @field_validator("roles")
    @classmethod
    def _no_service(cls, roles: frozenset[Role]) -> frozenset[Role]:
        if Role.SERVICE in roles:
            raise ValueError("the role 'service' is for the mesh's own services, which have no keys")
        return roles


def keys_from_file(path: Path) -> list[ApiKey]:
    """The keys of a JSON file: a list of objects with tenant, subject, roles and sha256. Raises KeyFileError."""
    try:
        lines = TypeAdapter(list[_KeyLine]).validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise KeyFileError(f"{path}: {_summary(error)}") from error
    if not lines:
        raise KeyFileError(f"{path}: holds no key, so nobody could call")
    return [ApiKey(line.sha256, "", Identity(line.tenant, line.subject, line.roles)) for line in lines]


def development_keys(directory: Path, tenants: Sequence[str]) -> list[ApiKey]:
    """A key with every role for each tenant, kept in `<directory>/<tenant>.key`. Raises KeyFileError."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return [_development_key(directory / f"{tenant}.key", tenant) for tenant in tenants]


def _development_key(path: Path, tenant: str) -> ApiKey:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        key = path.read_text().strip()
        if len(key) < SHORTEST_KEY:
            raise KeyFileError(f"{path}: holds no key; delete it to have one made") from None
        path.chmod(0o600)
    else:
        key = new_text()
        with os.fdopen(descriptor, "w") as file:
            file.write(key + "\n")
        log.info("wrote the development key of tenant %r to %s", tenant, path)
    return ApiKey(digest_of(key).hex(), key[:PREFIX_LENGTH], Identity(tenant, "developer", DEVELOPER_ROLES))


def _summary(error: OSError | ValidationError) -> str:
    if isinstance(error, OSError):
        return str(error.strerror)
    flaws: list[Any] = error.errors(include_input=False, include_url=False)
    return "; ".join(f"{'.'.join(map(str, flaw['loc']))}: {flaw['msg']}" for flaw in flaws[:5])
