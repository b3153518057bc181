"""API keys: who a caller is, and files of keys that must not be used."""

import hashlib
import json
import stat
from collections.abc import Mapping
from pathlib import Path

import pytest

from autodev_gateway.identity.bearer import Bearers
from autodev_gateway.identity.configured import (
    DEVELOPER_ROLES,
    ConfiguredKeys,
    KeyFileError,
    development_keys,
    keys_from_file,
)
from autodev_runtime.errors import Unauthenticated
from autodev_runtime.identity import ROLES_KEY, TENANT_KEY, Role

SHA256 = hashlib.sha256(b"a-key").hexdigest()
LINE = {"tenant": "acme", "subject": "ada", "roles": ["runtime"], "sha256": SHA256}


def key_file(directory: Path, *lines: Mapping[str, object]) -> Path:
    path = directory / "keys.json"
    path.write_text(json.dumps(lines))
    return path


def test_a_development_key_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    (first,) = development_keys(tmp_path / "keys", ["acme"])
    path = tmp_path / "keys" / "acme.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert hashlib.sha256(path.read_text().strip().encode()).hexdigest() == first.sha256
    assert first.identity.tenant == "acme"
    assert first.identity.roles == DEVELOPER_ROLES
    assert development_keys(tmp_path / "keys", ["acme"]) == [first]


def test_keys_are_not_alike(tmp_path: Path) -> None:
    one, other = development_keys(tmp_path, ["acme", "globex"])
    assert one.sha256 != other.sha256
    assert len((tmp_path / "acme.key").read_text().strip()) >= 43


def test_a_key_file_that_others_could_read_is_closed(tmp_path: Path) -> None:
    development_keys(tmp_path, ["acme"])
    (tmp_path / "acme.key").chmod(0o644)
    development_keys(tmp_path, ["acme"])
    assert stat.S_IMODE((tmp_path / "acme.key").stat().st_mode) == 0o600


def test_an_empty_key_file_lets_nobody_in(tmp_path: Path) -> None:
    (tmp_path / "acme.key").write_text("\n")
    with pytest.raises(KeyFileError):
        development_keys(tmp_path, ["acme"])


async def test_the_identity_is_the_keys_whatever_else_the_call_states(tmp_path: Path) -> None:
    bearers = Bearers(ConfiguredKeys(keys_from_file(key_file(tmp_path, LINE))))
    stated = [(TENANT_KEY, "*"), (ROLES_KEY, "service"), ("authorization", "Bearer a-key"), (TENANT_KEY, "globex")]
    identity = await bearers.authenticate(stated)
    assert (identity.tenant, identity.subject, identity.roles) == ("acme", "ada", frozenset({Role.RUNTIME}))


@pytest.mark.parametrize(
    "metadata",
    [
        [],
        [("authorization", "")],
        [("authorization", "a-key")],
        [("authorization", "Basic a-key")],
        [("authorization", "Bearer ")],
        [("authorization", "Bearer another")],
        [("authorization", f"Bearer {SHA256}")],
        [(TENANT_KEY, "acme"), (ROLES_KEY, "service")],
    ],
)
async def test_without_a_known_key_nobody_comes_in(tmp_path: Path, metadata: list[tuple[str, str]]) -> None:
    bearers = Bearers(ConfiguredKeys(keys_from_file(key_file(tmp_path, LINE))))
    with pytest.raises(Unauthenticated):
        await bearers.authenticate(metadata)


@pytest.mark.parametrize(
    "change",
    [
        {"tenant": "*"},
        {"tenant": ""},
        {"roles": ["service"]},
        {"roles": ["king"]},
        {"sha256": "abc"},
        {"sha256": SHA256.upper()},
        {"key": "a-key"},
    ],
)
def test_a_key_file_with_a_line_that_cannot_be_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    with pytest.raises(KeyFileError):
        keys_from_file(key_file(tmp_path, LINE | change))


def test_a_key_file_that_is_empty_or_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError):
        keys_from_file(key_file(tmp_path))
    with pytest.raises(KeyFileError):
        keys_from_file(tmp_path / "none.json")
