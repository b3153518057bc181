"""The settings that every service has."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from autodev_runtime.settings import ServiceSettings, is_loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "::1", "[::1]", "localhost"])
def test_a_service_listens_where_only_this_machine_can_reach(host: str) -> None:
    assert is_loopback(host)
    assert ServiceSettings(port=1, host=host).host == host


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "10.0.0.5", "example.org", "localhost.example.org", "", "127.0.0.1.nip.io"]
)
def test_a_service_refuses_any_other_address(host: str) -> None:
    with pytest.raises(ValidationError, match="reachable from other machines"):
        ServiceSettings(port=1, host=host)


def test_the_database_is_a_file_of_the_services_own_unless_said_otherwise(tmp_path: Path) -> None:
    settings = ServiceSettings(port=1, data_dir=tmp_path / "made" / "for" / "it")
    assert settings.database_url_for("fitness") == f"sqlite+aiosqlite:///{tmp_path}/made/for/it/fitness.sqlite3"
    assert (tmp_path / "made" / "for" / "it").is_dir()
    other = ServiceSettings(port=1, database_url="postgresql+asyncpg://db/autodev", data_dir=tmp_path / "unused")
    assert other.database_url_for("fitness") == "postgresql+asyncpg://db/autodev"
    assert not (tmp_path / "unused").exists()


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_is_a_port(port: int) -> None:
    with pytest.raises(ValidationError):
        ServiceSettings(port=port)
