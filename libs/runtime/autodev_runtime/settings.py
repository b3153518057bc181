"""The settings that every service has. Each service adds its own in its `settings.py`."""

import logging
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from autodev_runtime.database_urls import DatabaseUrl
from autodev_runtime.extensions.settings import ExtensionSettings
from autodev_runtime.in_flight import CallBounds
from autodev_runtime.named import named
from autodev_runtime.secret_files import SECRETS_DIR, secret_in, secrets, secrets_dir
from autodev_runtime.starting import WRONG_SETTINGS
from autodev_runtime.targets import Collector, Target
from autodev_runtime.telemetry import LogFormat, LogLevel, configure_logging
from autodev_runtime.variables import line_of, line_of_unread, unknown_variables, variables_of
from autodev_sdk.addresses import is_loopback

MESH_FILES = ("mesh_ca_file", "mesh_cert_file", "mesh_key_file")
log = logging.getLogger(__name__)


def host_port(host: str, port: int) -> str:
    """The two as gRPC takes them, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"


@dataclass(frozen=True)
class CertificateFiles:
    """PEM files: a certificate with its chain, its key, and the authority that peers are checked by."""

    certificate: Path
    key: Path
    authority: Path | None = None


class ServiceSettings(ExtensionSettings):
    """Read from the environment (`AUTODEV_<NAME>_...`) and from files of secrets; see docs/settings.md."""

    model_config = SettingsConfigDict(use_attribute_docstrings=True)

    host: str = "127.0.0.1"
    """Where to listen. Services believe the tenant that a peer states, so without a mesh certificate they refuse any
    address but loopback."""
    port: int = Field(ge=0, le=65535)
    """Where to listen; 0: any free port."""
    metrics_port: int = Field(default=0, ge=0, le=65535)
    """HTTP port for /metrics, /healthz and /livez; 0: none."""
    metrics_host: str = "127.0.0.1"
    """Where that port listens. It answers anybody, in plain text: on another address only where a firewall or a network
    policy lets in whom it is for."""
    data_dir: Path = Path(".autodev")
    """Where SQLite files and keys are, unless `database_url` says otherwise."""
    database_url: DatabaseUrl = ""
    """`postgresql://user:password@host/database`, or an SQLAlchemy URL; empty: an SQLite file in `data_dir`."""
    gateway_address: Target = "127.0.0.1:50050"
    """The gateway's internal address, for events."""
    mesh_ca_file: Path | None = None
    """PEM of the authority that signs the services' certificates, and nobody else's. With it, `mesh_cert_file` and
    `mesh_key_file`, services speak mutual TLS and may listen on any address. Unset: as `AUTODEV_MESH_CA_FILE` says."""
    mesh_cert_file: Path | None = None
    """PEM of this service's certificate, with its chain, for the name `<service>.autodev.internal`. Unset: as
    `AUTODEV_MESH_CERT_FILE` says."""
    mesh_key_file: Path | None = None
    """PEM of its private key. Unset: as `AUTODEV_MESH_KEY_FILE` says."""
    log_level: Annotated[LogLevel, BeforeValidator(named(LogLevel))] = LogLevel.INFO
    """DEBUG, INFO, WARNING or ERROR."""
    log_format: LogFormat = LogFormat.TEXT
    """`text` for people, `json` for machines."""
    otlp_endpoint: Collector = Field(default="", validation_alias="AUTODEV_OTLP_ENDPOINT")
    """Where the whole mesh sends its trace spans: OTLP over gRPC, as `http://127.0.0.1:4317`. Empty: nowhere."""
    trace_ratio: float = Field(default=1.0, ge=0, le=1, validation_alias="AUTODEV_TRACE_RATIO")
    """The share of traces that are recorded, of those that begin in the mesh; a caller's `traceparent` decides for its
    own."""
    max_message_bytes: int = Field(default=8 * 1024 * 1024, ge=1024)
    """The greatest request or answer; more is RESOURCE_EXHAUSTED."""
    max_calls_in_flight: int = Field(default=2000, ge=1)
    """Unary calls served at a time; more are RESOURCE_EXHAUSTED."""
    max_streams_in_flight: int = Field(default=2000, ge=1)
    """Streams served at a time, beside the unary calls; more are RESOURCE_EXHAUSTED."""
    max_request_bytes_in_flight: int = Field(default=64 * 1024 * 1024, ge=1)
    """Bytes of the requests served at a time, of calls and streams; more are RESOURCE_EXHAUSTED. The service's memory
    holds each up to five times."""
    tenant_share: float = Field(default=0.5, gt=0, le=1)
    """How much of these three one tenant may use. Services of the mesh that act for all tenants may use all."""
    max_open_streams: int = Field(default=1000, ge=1)
    """Streams of health (`Watch`) and reflection, which need no credential; more are RESOURCE_EXHAUSTED."""
    default_timeout_s: float = Field(default=60.0, gt=0)
    """How long a unary call may take whose caller set no deadline."""
    drain_s: float = Field(default=10.0, ge=0)
    """How long calls in flight may go on after SIGTERM."""
    max_connection_age_s: float = Field(default=600.0, gt=0)
    """How old a connection gets, within a tenth, before its client is told to make another: so that clients come to use
    replicas that were added, and certificates that were renewed. Event streams end then, and are resumed."""
    max_connection_grace_s: float = Field(default=660.0, ge=0)
    """How long calls on such a connection may go on; longer than the longest call."""

    @classmethod
    def of_environment(cls) -> Self:
        """The settings that the process was given. Where there is a wrong one, says which and ends the process."""
        try:
            return cls()
        except ValidationError as error:
            lines = [line_of(cls, each) for each in error.errors(include_input=False, include_url=False)]
        except SettingsError as error:
            lines = [line_of_unread(cls, error)]
        except ValueError as error:
            lines = [str(error)]
        print(*lines, sep="\n", file=sys.stderr)
        sys.exit(WRONG_SETTINGS)

    def begin_logging(self, service: str) -> None:
        """Log as the settings say, first of all what was set in vain."""
        configure_logging(service, self.log_level, self.log_format)
        for line in unknown_variables(type(self), os.environ):
            log.warning(line)
        for line in unknown_variables(type(self), secrets()):
            log.warning("%s: %s", SECRETS_DIR, line)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What a caller states, then the environment, then the files of AUTODEV_SECRETS_DIR.

        Raises ValueError for a file that is empty: it would be as good as none.
        """
        folder = secrets_dir()
        files = secrets()
        for variable in variables_of(settings_cls):
            if variable in files:
                secret_in(files[variable])
        read = () if folder is None else (SecretsSettingsSource(settings_cls, folder),)
        return init_settings, env_settings, *read

    @model_validator(mode="before")
    @classmethod
    def _mesh_of_all(cls, stated: Any) -> Any:
        """What is unset for this service is as for all of them."""
        common = {name: os.environ.get(f"AUTODEV_{name.upper()}") for name in MESH_FILES}
        given = {name: value for name, value in stated.items() if name not in MESH_FILES or value}
        return {**{name: value for name, value in common.items() if value}, **given}

    @model_validator(mode="after")
    def _mesh_whole(self) -> Self:
        missing = [name for name in MESH_FILES if getattr(self, name) is None]
        if 0 < len(missing) < len(MESH_FILES):
            raise ValueError(f"{', '.join(MESH_FILES)} go together; unset: {', '.join(missing)}")
        return self

    @model_validator(mode="after")
    def _loopback_only(self) -> Self:
        self.require_believable(self.host)
        return self

    def require_believable(self, host: str) -> None:
        """Raises ValueError for an address where anybody could say to be anybody."""
        if self.mesh_files is None and not is_loopback(host):
            raise ValueError(
                f"{host} is reachable from other machines, and this service believes any caller: listen on 127.0.0.1, "
                f"or set {', '.join(MESH_FILES)}, by which services prove who they are (`autodev certs` makes them)"
            )

    @property
    def call_bounds(self) -> CallBounds:
        """What calls may use."""
        return CallBounds(
            self.max_calls_in_flight,
            self.max_streams_in_flight,
            self.max_request_bytes_in_flight,
            self.max_open_streams,
            self.tenant_share,
            self.default_timeout_s,
        )

    @property
    def mesh_files(self) -> CertificateFiles | None:
        """The files of the service's certificate for its peers; None where it has none."""
        if self.mesh_ca_file is None or self.mesh_cert_file is None or self.mesh_key_file is None:
            return None
        return CertificateFiles(self.mesh_cert_file, self.mesh_key_file, self.mesh_ca_file)

    @property
    def address(self) -> str:
        """Where the service listens: `host:port`."""
        return host_port(self.host, self.port)

    def database_url_for(self, service: str) -> str:
        """The database's URL: the setting, or the service's own SQLite file."""
        if self.database_url:
            return self.database_url
        # Episodes and code are nobody else's on the machine.
        self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        return f"sqlite+aiosqlite:///{(self.data_dir / f'{service}.sqlite3').resolve()}"
