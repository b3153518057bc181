"""The settings that every service has. Each service adds its own in its `settings.py`."""

import ipaddress
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from autodev_runtime.telemetry import LogFormat


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class ServiceSettings(BaseSettings):
    """Read from the environment (`AUTODEV_<NAME>_...`); see docs/settings.md."""

    model_config = SettingsConfigDict(use_attribute_docstrings=True, populate_by_name=True)

    host: str = "127.0.0.1"
    """Where to listen. Services believe the tenant that a peer states, so they refuse any address but loopback."""
    port: int = Field(ge=0, le=65535)
    """Where to listen; 0: any free port."""
    metrics_port: int = Field(default=0, ge=0, le=65535)
    """HTTP port for /metrics and /healthz; 0: none."""
    data_dir: Path = Path(".autodev")
    """Where SQLite files and keys are, unless `database_url` says otherwise."""
    database_url: str = ""
    """An SQLAlchemy URL; empty: an SQLite file in `data_dir`."""
    gateway_address: str = "127.0.0.1:50050"
    """The gateway's internal address, for events."""
    log_level: str = "INFO"
    """DEBUG, INFO, WARNING or ERROR."""
    log_format: LogFormat = LogFormat.TEXT
    """`text` for people, `json` for machines."""
    otlp_endpoint: str = Field(default="", validation_alias="AUTODEV_OTLP_ENDPOINT")
    """Where the whole mesh sends its trace spans: OTLP over gRPC, as `http://127.0.0.1:4317`. Empty: nowhere."""
    max_message_bytes: int = Field(default=8 * 1024 * 1024, ge=1024)
    """The greatest request or answer; more is RESOURCE_EXHAUSTED."""
    max_calls_in_flight: int = Field(default=1000, ge=1)
    """Calls served at a time; more are RESOURCE_EXHAUSTED."""
    default_timeout_s: float = Field(default=60.0, gt=0)
    """How long a unary call may take whose caller set no deadline."""
    drain_s: float = Field(default=10.0, ge=0)
    """How long calls in flight may go on after SIGTERM."""

    @model_validator(mode="after")
    def _loopback_only(self) -> Self:
        if not is_loopback(self.host):
            raise ValueError(
                f"{self.host} is reachable from other machines, and this service believes any caller: "
                "listen on 127.0.0.1 and let clients come through the gateway"
            )
        return self

    def database_url_for(self, service: str) -> str:
        """The database's URL: the setting, or the service's own SQLite file."""
        if self.database_url:
            return self.database_url
        self.data_dir.mkdir(parents=True, exist_ok=True)
        return f"sqlite+aiosqlite:///{(self.data_dir / f'{service}.sqlite3').resolve()}"
