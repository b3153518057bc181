"""The gateway's settings: `AUTODEV_GATEWAY_...`."""

from dataclasses import replace
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from autodev_gateway.event_log import AppendBounds, LogOptions, Retention
from autodev_gateway.event_log.jetstream.options import NatsOptions
from autodev_gateway.identity.configured import Identifier
from autodev_gateway.webhooks.settings import WebhookSettings
from autodev_runtime.settings import CertificateFiles, host_port
from autodev_runtime.targets import Target
from autodev_sdk.addresses import is_loopback

StreamName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
JETSTREAM_BATCH = 1000
"""How many messages NATS stores together at most: an event of each of so many tenants."""
JETSTREAM_BATCH_BYTES = 8 * 1024 * 1024
FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$")]


class Mode(StrEnum):
    """Where the API keys come from."""

    DEVELOPMENT = "development"
    """The gateway makes one for each of `development_tenants`, and listens on loopback only."""
    PRODUCTION = "production"
    """The gateway makes none: they are in `api_keys_file`, or were made by `autodev keys create`."""


class Algorithm(StrEnum):
    """By what a token may be signed."""

    RS256 = "RS256"
    ES256 = "ES256"
    EDDSA = "EdDSA"


class EventLogEngine(StrEnum):
    """What keeps the events."""

    SQL = "sql"
    """The database."""
    JETSTREAM = "jetstream"
    """NATS; the database has rows without the events."""


class TenantRetention(BaseModel):
    """How much of one tenant's events is kept."""

    model_config = ConfigDict(extra="forbid")

    age_s: float | None = Field(default=None, gt=0)
    bytes: int | None = Field(default=None, gt=0)


class GatewaySettings(WebhookSettings):
    """See `DatabaseSettings` for what every service has. `host` and `port` are the public address."""

    model_config = SettingsConfigDict(env_prefix="AUTODEV_GATEWAY_", hide_input_in_errors=True)

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
    jwt_jwks_url: str = ""
    """Where the identity provider publishes its keys (a JSON Web Key Set), by HTTPS. Set: its tokens are accepted."""
    jwt_jwks_file: Path | None = None
    """The same from a file, in place of the address."""
    jwt_ca_file: Path | None = None
    """PEM of the authorities that the address's certificate may come from; unset: this machine's."""
    jwt_issuer: str = ""
    """What a token's `iss` must be."""
    jwt_audience: str = ""
    """What must be in a token's `aud`."""
    jwt_algorithms: Annotated[frozenset[Algorithm], NoDecode] = Field(default=frozenset(Algorithm), min_length=1)
    """Comma-separated. By what a token may be signed."""
    jwt_tenant_claim: str = Field(default="tenant", min_length=1)
    """The claim that names the tenant; a path, as `org.name`, where the claim is inside another."""
    jwt_subject_claim: str = Field(default="sub", min_length=1)
    """The claim that names the caller."""
    jwt_roles_claim: str = Field(default="roles", min_length=1)
    """The claim with the roles, a list or words: `runtime`, `reviewer`, `operator`. Others mean nothing here."""
    jwt_leeway_s: float = Field(default=30.0, ge=0, le=300)
    """By how much the provider's clock may differ."""
    jwt_refresh_s: float = Field(default=300.0, gt=0)
    """How often the keys are fetched again."""
    jwt_stale_s: float = Field(default=3600.0, gt=0)
    """How long fetched keys are believed while they cannot be fetched again; then tokens are UNAVAILABLE."""
    jwt_look_again_s: float = Field(default=10.0, gt=0)
    """How often, at most, the keys are fetched for a token whose key is not among them."""
    tls_cert_file: Path | None = None
    """PEM of the public address's certificate, with its chain. Read again when it changes, as is its key."""
    tls_key_file: Path | None = None
    """PEM of its private key."""
    allow_plaintext: bool = False
    """Serve other machines without TLS: for a proxy that ends TLS in front of the gateway."""
    capability_address: Target = "127.0.0.1:50052"
    learning_address: Target = "127.0.0.1:50053"
    fitness_address: Target = "127.0.0.1:50054"
    sandbox_address: Target = "127.0.0.1:50055"
    handler_patience_s: float = Field(default=300.0, ge=0)
    """How long an event waits for a handler of `extensions` that is away; then that counts as one of its five tries."""
    max_event_bytes: int = Field(default=1024 * 1024, ge=1024)
    """The greatest event that is accepted."""
    subscriber_stall_s: float = Field(default=10.0, gt=0)
    """How long a subscriber may leave a message unread before it is told that it is too slow."""
    append_waiting_events: int = Field(default=20_000, ge=1)
    """How many events may wait to be appended; more are refused with LOG_BUSY."""
    tail_bytes: int = Field(default=64 * 1024 * 1024, ge=0)
    """How much of the log's end is kept in memory for who follows it."""
    retention_age_s: float | None = Field(default=None, gt=0)
    """How long each tenant's events are kept, and episodes after their latest report; unset: for ever."""
    retention_bytes: int | None = Field(default=None, gt=0)
    """How many bytes of each tenant's events are kept, and the episodes last reported by these; unset: all."""
    tenant_retention: dict[Identifier, TenantRetention] = Field(default={})
    """For single tenants instead: a JSON object, `{"acme": {"age_s": 86400, "bytes": null}}`. What a tenant's says
    nothing of is as for all; null: everything is kept."""
    event_log: EventLogEngine = EventLogEngine.SQL
    """`sql`: the database keeps the events. `jetstream`: NATS does, see docs/architecture.md."""
    nats_url: Annotated[list[str], NoDecode] = Field(default=[])
    """Comma-separated: where the NATS servers are, `nats://host:4222` or `tls://host:4222`."""
    nats_credentials_file: Path | None = None
    """One line, `user:password` or a token; or a NATS credentials file, JWT and seed. Read for each connection."""
    nats_ca_file: Path | None = None
    """PEM of who signed the NATS servers' certificates."""
    nats_monitor_urls: Annotated[list[str], NoDecode] = Field(default=[])
    """Comma-separated: the NATS servers' monitoring, `http://host:8222`. One that does not sync is refused."""
    nats_stream: StreamName = "autodev_events"
    """The stream of this mesh. Several meshes may share NATS."""
    jetstream_replicas: int = Field(default=1, ge=1, le=5)
    """On how many NATS servers the stream is; 3 for a cluster."""

    @field_validator("nats_url")
    @classmethod
    def _without_credentials(cls, urls: list[str]) -> list[str]:
        if any("@" in url for url in urls):
            raise ValueError("credentials belong into nats_credentials_file, not into a URL that is logged")
        return urls

    @field_validator("development_tenants", "jwt_algorithms", "nats_url", "nats_monitor_urls", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @property
    def takes_tokens(self) -> bool:
        """Whether an identity provider's tokens are accepted."""
        return bool(self.jwt_jwks_url) or self.jwt_jwks_file is not None

    @model_validator(mode="after")
    def _whose_tokens(self) -> Self:
        """A token must be for us and by whom we trust, and so must be the keys."""
        if not self.takes_tokens:
            return self
        if self.jwt_jwks_url and self.jwt_jwks_file is not None:
            raise ValueError("set one of jwt_jwks_url and jwt_jwks_file")
        if not self.jwt_issuer or not self.jwt_audience:
            raise ValueError("tokens need jwt_issuer and jwt_audience")
        if self.jwt_jwks_url:
            url = urlsplit(self.jwt_jwks_url)
            safe = url.scheme == "https" or (url.scheme == "http" and is_loopback(url.hostname or ""))
            if not url.hostname or not safe:
                raise ValueError("jwt_jwks_url must be an https:// address: who answers it decides who comes in")
        return self

    @model_validator(mode="after")
    def _loopback_only(self) -> Self:
        """In place of the services' rule: callers here prove who they are, so other machines may be let in, safely."""
        if (self.tls_cert_file is None) != (self.tls_key_file is None):
            raise ValueError("tls_cert_file and tls_key_file go together")
        if self.event_log is EventLogEngine.JETSTREAM and not self.nats_url:
            raise ValueError("event_log=jetstream needs nats_url")
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
    def nats_options(self) -> NatsOptions:
        """How the event log on JetStream is reached."""
        return NatsOptions(
            self.nats_url,
            self.nats_stream,
            self.jetstream_replicas,
            self.max_event_bytes,
            self.nats_credentials_file,
            self.nats_ca_file,
            self.nats_monitor_urls,
        )

    @property
    def retention(self) -> Retention:
        """What is kept of the tenants' events."""
        tenants = {}
        for tenant, stated in self.tenant_retention.items():
            age_s = stated.age_s if "age_s" in stated.model_fields_set else self.retention_age_s
            size_bytes = stated.bytes if "bytes" in stated.model_fields_set else self.retention_bytes
            tenants[tenant] = Retention(_seconds(age_s), size_bytes)
        return Retention(_seconds(self.retention_age_s), self.retention_bytes, tenants)

    @property
    def log_options(self) -> LogOptions:
        """How the event log is to be run."""
        append = AppendBounds(waiting_events=self.append_waiting_events)
        if self.event_log is EventLogEngine.JETSTREAM:
            append = replace(append, batch_events=JETSTREAM_BATCH, batch_bytes=JETSTREAM_BATCH_BYTES)
        return LogOptions(
            append,
            self.tail_bytes,
            self.retention,
        )


def _seconds(count: float | None) -> timedelta | None:
    return timedelta(seconds=count) if count is not None else None
