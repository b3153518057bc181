"""The settings that every service has."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from autodev_runtime.database_settings import DatabaseSettings
from autodev_runtime.settings import CertificateFiles, ServiceSettings
from autodev_sdk.addresses import is_loopback


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


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+asyncpg"])
def test_a_url_of_postgresql_may_leave_the_driver_out(scheme: str) -> None:
    url = f"{scheme}://u:p@db/autodev"
    settings = DatabaseSettings(port=1, database_url=url, database_all_tenants_url=url)
    assert settings.database_url_for("fitness") == "postgresql+asyncpg://u:p@db/autodev"
    assert settings.database_options("fitness").all_tenants_url == "postgresql+asyncpg://u:p@db/autodev"


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_is_a_port(port: int) -> None:
    with pytest.raises(ValidationError):
        ServiceSettings(port=port)


MESH: dict[str, Any] = {
    "mesh_ca_file": Path("ca.crt"),
    "mesh_cert_file": Path("tls.crt"),
    "mesh_key_file": Path("tls.key"),
}


def test_with_a_mesh_certificate_it_may_listen_anywhere() -> None:
    assert ServiceSettings(port=1, host="0.0.0.0", **MESH).mesh_files is not None


@pytest.mark.parametrize("name", MESH)
def test_its_three_files_go_together(name: str) -> None:
    with pytest.raises(ValidationError, match=f"unset: {name}"):
        ServiceSettings(port=1, **{**MESH, name: None})


def test_files_that_are_unset_for_a_service_are_those_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, path in MESH.items():
        monkeypatch.setenv(f"AUTODEV_{name.upper()}", f"all/{path}")
        monkeypatch.setenv(f"AUTODEV_FITNESS_{name.upper()}", "")
    monkeypatch.setenv("AUTODEV_FITNESS_MESH_KEY_FILE", "own.key")
    settings = ServiceSettings(_env_prefix="AUTODEV_FITNESS_", port=1)
    assert settings.mesh_files == CertificateFiles(Path("all/tls.crt"), Path("own.key"), Path("all/ca.crt"))
