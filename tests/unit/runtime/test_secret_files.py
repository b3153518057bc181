"""Settings that are secret come from files."""

from pathlib import Path

import pytest

from autodev_gateway.settings import GatewaySettings
from autodev_runtime.secret_files import stated

URL = "AUTODEV_GATEWAY_DATABASE_URL"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AUTODEV_SECRETS_DIR", str(tmp_path))
    return tmp_path


def test_a_file_that_is_named_as_a_variable_is_its_value(folder: Path) -> None:
    (folder / URL.lower()).write_text("postgresql+asyncpg://u:p@db/autodev\n")
    assert GatewaySettings().database_url == stated(URL) == "postgresql+asyncpg://u:p@db/autodev"


def test_the_environment_comes_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / URL.lower()).write_text("postgresql+asyncpg://u:p@file/autodev")
    monkeypatch.setenv(URL, "postgresql+asyncpg://u:p@environment/autodev")
    assert GatewaySettings().database_url == stated(URL) == "postgresql+asyncpg://u:p@environment/autodev"


def test_what_no_file_and_no_variable_states_is_as_by_default(folder: Path) -> None:
    assert GatewaySettings().database_url == stated(URL) == ""


def test_a_folder_that_is_missing_is_no_empty_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AUTODEV_SECRETS_DIR", str(tmp_path / "missing"))
    with pytest.raises(ValueError, match=r"AUTODEV_SECRETS_DIR: .* is no folder"):
        GatewaySettings()
    with pytest.raises(ValueError, match="AUTODEV_SECRETS_DIR"):
        stated(URL)
