"""The gateway does not start where it could be reached by those who should not."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from autodev_gateway.settings import EventLogEngine, GatewaySettings, Mode

KEYS = {"mode": Mode.PRODUCTION, "api_keys_file": Path("keys.json")}
TRUST = {"jwt_issuer": "https://login.example", "jwt_audience": "autodev"}
TLS = {"tls_cert_file": Path("cert.pem"), "tls_key_file": Path("key.pem")}

MESH = {"mesh_ca_file": Path("ca.crt"), "mesh_cert_file": Path("tls.crt"), "mesh_key_file": Path("tls.key")}


def test_it_listens_on_loopback_in_development_mode_by_default() -> None:
    settings = GatewaySettings()
    assert settings.mode is Mode.DEVELOPMENT
    assert settings.address == "127.0.0.1:50051"
    assert settings.development_tenants == ["default"]


@pytest.mark.parametrize(
    "stated",
    [
        {"host": "0.0.0.0"},
        {"host": "0.0.0.0", **TLS},
        {"host": "0.0.0.0", "allow_plaintext": True},
        {"host": "gateway.example", **KEYS},
        {"tls_cert_file": Path("cert.pem")},
        {"jwt_jwks_url": "https://login.example/keys"},
        {"jwt_jwks_url": "https://login.example/keys", "jwt_issuer": "i"},
        {"jwt_jwks_url": "http://login.example/keys", **TRUST},
        {"jwt_jwks_url": "https:///keys", **TRUST},
        {"jwt_jwks_url": "https://login.example/keys", "jwt_jwks_file": Path("keys.json"), **TRUST},
        {"jwt_jwks_file": Path("keys.json"), "jwt_algorithms": "HS256", **TRUST},
        {"jwt_jwks_file": Path("keys.json"), "jwt_algorithms": "none", **TRUST},
        {"jwt_jwks_file": Path("keys.json"), "jwt_algorithms": "", **TRUST},
        {**KEYS, "tls_key_file": Path("key.pem")},
        {"internal_host": "0.0.0.0"},
        {"internal_host": "0.0.0.0", **KEYS, **TLS},
        {"host": "0.0.0.0", **MESH},
        {"development_tenants": ["../keys"]},
        {"development_tenants": ["*"]},
        {"development_tenants": []},
    ],
)
def test_it_refuses(stated: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        GatewaySettings(**stated)


@pytest.mark.parametrize(
    "stated",
    [
        {"host": "0.0.0.0", **KEYS, **TLS},
        {"host": "0.0.0.0", **KEYS, "allow_plaintext": True},
        {"host": "localhost", **KEYS},
        {"host": "localhost", "mode": Mode.PRODUCTION},
        {"host": "::1"},
        {"host": "localhost", "internal_host": "0.0.0.0", **MESH},
    ],
)
def test_it_accepts(stated: dict[str, Any]) -> None:
    assert GatewaySettings(**stated).host == stated["host"]


def test_an_address_of_version_6_is_bracketed() -> None:
    assert GatewaySettings(host="::1").address == "[::1]:50051"


def test_tenants_come_as_a_list_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTODEV_GATEWAY_DEVELOPMENT_TENANTS", "acme, globex")
    assert GatewaySettings().development_tenants == ["acme", "globex"]


def test_jetstream_needs_servers_and_no_secret_in_their_urls() -> None:
    with pytest.raises(ValueError, match="needs nats_url"):
        GatewaySettings(event_log=EventLogEngine.JETSTREAM)
    with pytest.raises(ValueError, match="nats_credentials_file") as caught:
        GatewaySettings(nats_url=["nats://me:secret@nats:4222"])
    assert "secret@" not in str(caught.value)
