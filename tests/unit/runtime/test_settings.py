"""The settings that every service has."""

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from autodev_fitness.settings import FitnessSettings
from autodev_gateway.settings import GatewaySettings
from autodev_learning.settings import LearningSettings
from autodev_runtime.database_settings import DatabaseSettings
from autodev_runtime.postgresql import driver_arguments
from autodev_runtime.settings import CertificateFiles, ServiceSettings
from autodev_runtime.starting import WRONG_SETTINGS
from autodev_runtime.telemetry import LogLevel
from autodev_runtime.variables import unknown_variables
from autodev_sandbox.settings import SandboxSettings
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
    assert stat.S_IMODE((tmp_path / "made/for/it").stat().st_mode) == 0o700
    other = ServiceSettings(port=1, database_url="postgresql+asyncpg://db/autodev", data_dir=tmp_path / "unused")
    assert other.database_url_for("fitness") == "postgresql+asyncpg://db/autodev"
    assert not (tmp_path / "unused").exists()


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+asyncpg"])
def test_a_url_of_postgresql_may_leave_the_driver_out(scheme: str) -> None:
    url = f"{scheme}://u:p@db/autodev"
    settings = DatabaseSettings(port=1, database_url=url, database_all_tenants_url=url)
    assert settings.database_url_for("fitness") == "postgresql+asyncpg://u:p@db/autodev"
    assert settings.database_options("fitness").all_tenants_url == "postgresql+asyncpg://u:p@db/autodev"


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("sslmode=require&channel_binding=require", "cannot have channel_binding here; it can: gsslib, host, "),
        ("connect_timeout=10", "cannot have connect_timeout here"),
        ("application_name=x&user=ada", "cannot have application_name, user here"),
        ("sslmode=verify_full", "sslmode in a database's URL is one of: disable, allow, prefer, require, verify-ca, "),
        ("ssl=true", "ssl in a database's URL is one of: "),
    ],
)
def test_what_a_url_of_postgresql_states_in_vain_is_refused_by_name(query: str, said: str) -> None:
    url = f"postgresql://u:pass?word@db/autodev?{query}"
    with pytest.raises(ValidationError, match=said):
        DatabaseSettings(port=1, database_url=url)
    with pytest.raises(ValidationError, match=said):
        DatabaseSettings(port=1, database_all_tenants_url=url)


def test_what_libpq_knows_of_tls_goes_to_the_driver() -> None:
    query = "sslmode=verify-full&sslrootcert=%2Fa%20b%2Fca.crt&target_session_attrs=read-write"
    url = DatabaseSettings(port=1, database_url=f"postgres://u:p@db:6543/autodev?{query}").database_url
    assert driver_arguments(url) == {
        "dsn": "postgresql://?sslmode=verify-full&sslrootcert=%2Fa+b%2Fca.crt",
        "host": "db",
        "port": 6543,
        "user": "u",
        "password": "p",
        "database": "autodev",
        "target_session_attrs": "read-write",
    }


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


@pytest.mark.parametrize(
    ("settings", "stated", "lines"),
    [
        (
            LearningSettings,
            {"AUTODEV_LEARNING_PATTERN_THRESHOLD": "s3cret", "AUTODEV_LEARNING_PORT": "70000"},
            [
                "AUTODEV_LEARNING_PORT: Input should be less than or equal to 65535",
                "AUTODEV_LEARNING_PATTERN_THRESHOLD: Input should be a valid integer, unable to parse string as an "
                "integer",
            ],
        ),
        (
            LearningSettings,
            {"AUTODEV_TRACE_RATIO": "2"},
            ["AUTODEV_TRACE_RATIO: Input should be less than or equal to 1"],
        ),
        (
            GatewaySettings,
            {"AUTODEV_GATEWAY_TLS_CERT_FILE": "tls.crt"},
            ["AUTODEV_GATEWAY_*: tls_cert_file and tls_key_file go together"],
        ),
        (
            GatewaySettings,
            {"AUTODEV_GATEWAY_TENANT_RETENTION": '{"acme": {"age_s"'},
            ["AUTODEV_GATEWAY_TENANT_RETENTION: this is not JSON"],
        ),
        (
            GatewaySettings,
            {"AUTODEV_GATEWAY_DATABASE_URL": "mysql://u:s3cret@db/autodev"},
            ["AUTODEV_GATEWAY_DATABASE_URL: a database's URL begins with postgresql:// or sqlite+aiosqlite://"],
        ),
        (
            LearningSettings,
            {"AUTODEV_LEARNING_LOG_LEVEL": "loud"},
            ["AUTODEV_LEARNING_LOG_LEVEL: 'loud' is none of DEBUG, INFO, WARNING, ERROR"],
        ),
        (
            SandboxSettings,
            {"AUTODEV_SANDBOX_MINIMUM": "gvisor"},
            ["AUTODEV_SANDBOX_MINIMUM: 'gvisor' is none of PROCESS, NAMESPACE, CONTAINER, CONTAINER_GVISOR"],
        ),
        (
            SandboxSettings,
            {"AUTODEV_SANDBOX_LEVELS": "namespace,box"},
            ["AUTODEV_SANDBOX_LEVELS: 'box' is none of PROCESS, NAMESPACE, CONTAINER, CONTAINER_GVISOR"],
        ),
        (
            LearningSettings,
            {"AUTODEV_LEARNING_GATEWAY_ADDRESS": "gateway", "AUTODEV_LEARNING_SANDBOX_ADDRESS": "dns:///sandbox"},
            [
                f"AUTODEV_LEARNING_{peer}_ADDRESS: is no address: host:port, or a target of gRPC's, as "
                "dns:///learning:50053"
                for peer in ("GATEWAY", "SANDBOX")
            ],
        ),
        *(
            (
                LearningSettings,
                {"AUTODEV_OTLP_ENDPOINT": endpoint},
                ["AUTODEV_OTLP_ENDPOINT: is no URL of a collector, as http://127.0.0.1:4317"],
            )
            for endpoint in (
                *("collector", "127.0.0.1:4317", "grpc://collector:4317", "http://", "http://collector:0"),
                *("http://user:s3cret", "http://[s3cret"),
            )
        ),
        (LearningSettings, {"AUTODEV_SECRETS_DIR": "/nowhere"}, ["AUTODEV_SECRETS_DIR: /nowhere is no folder"]),
    ],
)
def test_wrong_settings_are_told_by_their_variables_and_without_their_values(
    settings: type[ServiceSettings],
    stated: dict[str, str],
    lines: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for variable, value in stated.items():
        monkeypatch.setenv(variable, value)
    with pytest.raises(SystemExit) as ended:
        settings.of_environment()
    assert ended.value.code == WRONG_SETTINGS
    assert capsys.readouterr().err.splitlines() == lines


@pytest.mark.parametrize("service", ["gateway", "capability", "learning", "fitness", "sandbox"])
def test_a_service_with_a_wrong_setting_does_not_start_and_says_which(service: str) -> None:
    variable = f"AUTODEV_{service.upper()}_DRAIN_S"
    command = [sys.executable, "-m", f"autodev_{service}"]
    environment = {**os.environ, variable: "soon"}
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)
    assert ended.returncode == WRONG_SETTINGS
    assert ended.stderr.startswith(f"{variable}: Input should be a valid number")
    assert len(ended.stderr.splitlines()) == 1


def test_targets_of_grpc_and_collectors_are_taken() -> None:
    targets = [
        "10.0.0.7:50050",
        "[::1]:50050",
        "dns:///gateway:50050",
        "ipv4:10.0.0.7:1,10.0.0.8:1",
        "unix:/run/gateway",
    ]
    taken = [ServiceSettings(port=1, gateway_address=target).gateway_address for target in targets]
    assert taken == targets
    endpoints = ["", "http://127.0.0.1:4317", "https://collector.example"]
    stated = [ServiceSettings.model_validate({"port": 1, "AUTODEV_OTLP_ENDPOINT": each}) for each in endpoints]
    assert [each.otlp_endpoint for each in stated] == endpoints


def test_a_level_of_logging_is_named_in_any_case() -> None:
    assert ServiceSettings(port=1, log_level="debug").log_level is LogLevel.DEBUG


def test_what_is_set_in_vain_is_named_with_what_may_be_meant() -> None:
    stated = [
        "AUTODEV_LEARNING_PROPOSAL_SECOND",
        "AUTODEV_LEARNING_COLOUR",
        "AUTODEV_LEARNING_PROPOSAL_SECONDS",
        "AUTODEV_LEARNING_MESH_CA_FILE",
        "AUTODEV_TRACE_RATIO",
        "AUTODEV_GATEWAY_MODE",
    ]
    assert unknown_variables(LearningSettings, stated) == [
        "AUTODEV_LEARNING_COLOUR: there is no such setting",
        "AUTODEV_LEARNING_PROPOSAL_SECOND: there is no such setting; perhaps AUTODEV_LEARNING_PROPOSAL_SECONDS?",
    ]


def test_a_setting_of_the_whole_mesh_has_no_variable_of_one_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTODEV_LEARNING_TRACE_RATIO", "0.01")
    assert LearningSettings().trace_ratio == 1
    assert unknown_variables(LearningSettings, os.environ) == [
        "AUTODEV_LEARNING_TRACE_RATIO: there is no such setting; perhaps AUTODEV_TRACE_RATIO?"
    ]


def test_a_part_of_a_setting_is_known() -> None:
    assert unknown_variables(FitnessSettings, ["AUTODEV_FITNESS_PROXY_WEIGHTS__APPROVED"]) == []
