"""The gateway's settings: `AUTODEV_GATEWAY_...`."""

from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, StringConstraints, field_validator, model_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from autodev_gateway.event_log import AppendBounds, LogOptions, Retention
from autodev_gateway.webhooks.settings import WebhookSettings
from autodev_runtime.settings import CertificateFiles, host_port, is_loopback

FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$")]


class Mode(StrEnum):
    """Where the API keys come from."""

    DEVELOPMENT = "development"
    """The gateway makes one for each of `development_tenants`, and listens on loopback only."""
    PRODUCTION = "production"
    """The gateway makes none: they are in `api_keys_file`, or were made by `autodev keys create`."""


class GatewaySettings(WebhookSettings):
    """See `DatabaseSettings` for what every service has. `host` and `port` are the public address."""

    model_config = SettingsConfigDict(env_prefix="AUTODEV_GATEWAY_")

    port: int = Field(default=50051, ge=0, le=65535)
    internal_host: str = "127.0.0.1"
    """Where services of the mesh reach the event log: loopback, or any address with a mesh certificate."""
    internal_port: int = Field(default=50050, ge=0, le=65535)
    """The port there; 0: any free port."""
    metrics_port: int = Field(default=9464, ge=0, le=65535)
    mode: Mode = Mode.DEVELOPMENT
    """`development`: a key for each of `development_tenants`, loopback only. `production`: none made here."""
    development_tenants: Annotated[list[FileName], NoDecode] = Field(default=["default"], min_length=1)
    """Comma-separated. Each tenant's key is in `<data_dir>/keys/<tenant>.key`."""
    api_keys_file: Path | None = None
    """A JSON list of objects with tenant, subject, roles and sha256 (of the key, in hexadecimal)."""
    key_poll_s: float = Field(default=1.0, gt=0, le=60)
    """How often the gateway looks for keys that were made, rotated or revoked elsewhere."""
    key_stale_s: float = Field(default=30.0, gt=0)
    """How long it lets callers in by such keys while it cannot look; then they are UNAVAILABLE."""
    max_keys_per_tenant: int = Field(default=1000, ge=1)
    """How many keys that have not ended a tenant's operators may have made; more are refused with TOO_MANY_KEYS."""
    tls_cert_file: Path | None = None
    """PEM of the public address's certificate, with its chain. Read again when it changes, as is its key."""
    tls_key_file: Path | None = None
    """PEM of its private key."""
    allow_plaintext: bool = False
    """Serve other machines without TLS: for a proxy that ends TLS in front of the gateway."""
    capability_address: str = "127.0.0.1:50052"
    learning_address: str = "127.0.0.1:50053"
    fitness_address: str = "127.0.0.1:50054"
    sandbox_address: str = "127.0.0.1:50055"
    max_event_bytes: int = Field(default=1024 * 1024, ge=1024)
    """The greatest event that is accepted."""
    subscriber_stall_s: float = Field(default=10.0, gt=0)
    """How long a subscriber may leave a message unread before it is told that it is too slow."""
    append_waiting_events: int = Field(default=20_000, ge=1)
    """How many events may wait to be appended; more are refused with LOG_BUSY."""
    tail_bytes: int = Field(default=64 * 1024 * 1024, ge=0)
    """How much of the log's end is kept in memory for who follows it."""
    retention_age_s: float | None = Field(default=None, gt=0)
    """How long events are kept; unset: for ever."""
    retention_bytes: int | None = Field(default=None, gt=0)
    """How many bytes of events are kept; unset: all."""

    @field_validator("development_tenants", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _loopback_only(self) -> Self:
        """In place of the services' rule: callers here prove who they are, so other machines may be let in, safely."""
        if (self.tls_cert_file is None) != (self.tls_key_file is None):
            raise ValueError("tls_cert_file and tls_key_file go together")
        self.require_believable(self.internal_host)
        for host in (self.host, self.webhook_host):
            if is_loopback(host):
                continue
            if self.mode is Mode.DEVELOPMENT:
                raise ValueError(f"{host} is reachable from other machines: development mode is for loopback only")
            if self.tls_cert_file is None and not self.allow_plaintext:
                raise ValueError(f"{host} is reachable from other machines: set tls_cert_file and tls_key_file")
        return self

    @property
    def public_files(self) -> CertificateFiles | None:
        """The files of the public address's certificate; None where it has none."""
        if self.tls_cert_file is None or self.tls_key_file is None:
            return None
        return CertificateFiles(self.tls_cert_file, self.tls_key_file)

    @property
    def internal_address(self) -> str:
        """Where services come in: `host:port`."""
        return host_port(self.internal_host, self.internal_port)

    @property
    def log_options(self) -> LogOptions:
        """How the event log is to be run."""
        age = timedelta(seconds=self.retention_age_s) if self.retention_age_s is not None else None
        return LogOptions(
            AppendBounds(waiting_events=self.append_waiting_events),
            self.tail_bytes,
            Retention(age, self.retention_bytes),
        )
