"""Settings that are secret come from files."""

import subprocess
import sys
from pathlib import Path

import pytest

from autodev_gateway.settings import GatewaySettings
from autodev_runtime.secret_files import stated
from autodev_runtime.starting import WRONG_SETTINGS

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


def test_a_file_that_is_empty_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / URL.lower()).write_text("\n")
    with pytest.raises(SystemExit) as ended:
        GatewaySettings.of_environment()
    assert ended.value.code == WRONG_SETTINGS
    assert capsys.readouterr().err.startswith(f"{URL}: {folder}/{URL.lower()} is empty; ")
    with pytest.raises(ValueError, match=f"{URL}: .* is empty"):
        stated(URL)


def test_files_that_are_no_settings_of_the_service_are_named_in_its_log(folder: Path) -> None:
    for name in ("autodev_gateway_databse_url", "autodev_gateway_database_url", "autodev_learning_colour", "ca.crt"):
        (folder / name).write_text("postgresql://u:s3cret@db/autodev")
    # In a process of its own, whose log it is.
    begin = f"from {GatewaySettings.__module__} import *; GatewaySettings.of_environment().begin_logging('gateway')"
    ended = subprocess.run([sys.executable, "-c", begin], capture_output=True, text=True, timeout=60, check=True)
    (line,) = ended.stderr.splitlines()
    assert "AUTODEV_SECRETS_DIR: AUTODEV_GATEWAY_DATABSE_URL: there is no such setting; perhaps " in line
    assert line.endswith("AUTODEV_GATEWAY_DATABASE_URL?")


def test_a_folder_that_is_missing_is_no_empty_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AUTODEV_SECRETS_DIR", str(tmp_path / "missing"))
    with pytest.raises(ValueError, match=r"AUTODEV_SECRETS_DIR: .* is no folder"):
        GatewaySettings()
    with pytest.raises(ValueError, match="AUTODEV_SECRETS_DIR"):
        stated(URL)
