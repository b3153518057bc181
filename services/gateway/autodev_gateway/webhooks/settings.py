"""The settings of webhooks: `AUTODEV_GATEWAY_WEBHOOK_...`."""

from datetime import timedelta
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from autodev_runtime.database_settings import DatabaseSettings

DAY_S = timedelta(days=1).total_seconds()


class WebhookSettings(DatabaseSettings):
    """Part of the gateway's settings."""

    webhook_host: str = "127.0.0.1"
    """Where webhooks come in. The rules of `host` hold: other machines only with TLS, or `allow_plaintext`."""
    webhook_port: int = Field(default=0, ge=0, le=65535)
    """HTTP port for webhooks, `POST /webhooks/<source>`, with TLS if `tls_cert_file` is set; 0: none come in."""
    webhook_secrets_file: Path | None = None
    """A JSON object: each source's name to its tenant and secrets. Read again when it changes."""
    webhook_tolerance_s: float = Field(default=300.0, gt=0, le=3600)
    """How far a webhook's timestamp may be from the present."""
    webhook_max_body_bytes: int = Field(default=64 * 1024, ge=256, le=8 * 1024 * 1024)
    """The greatest webhook; more is 413."""
    webhook_rate_per_s: float = Field(default=50.0, gt=0)
    """Webhooks a second of one source, at each gateway; more are 429."""
    webhook_burst: int = Field(default=200, ge=1)
    """So many of one source may come at once."""
    webhook_receive_s: float = Field(default=10.0, gt=0)
    """How long a webhook may take to come in, and a connection may be idle; longer is 408."""
    webhook_answer_s: float = Field(default=10.0, gt=0)
    """How long the answer may take; longer is 503, and the sender is to try again."""
    webhook_max_connections: int = Field(default=256, ge=1)
    """Connections at a time; more are 503."""
    webhook_max_pending: int = Field(default=100_000, ge=1)
    """Webhooks of one source that may wait to be passed on; more are 503."""
    webhook_give_up_s: float = Field(default=3 * DAY_S, gt=0)
    """How long a webhook waits for a fitness service that is away, or refuses the gateway."""
    webhook_unknown_variant_s: float = Field(default=600.0, ge=0)
    """How long it waits for a variant that is not there."""
    webhook_keep_s: float = Field(default=30 * DAY_S, ge=DAY_S)
    """How long receipts are kept: for so long a webhook-id with another body is told to be used again (409)."""

    @model_validator(mode="after")
    def _secrets_for_webhooks(self) -> Self:
        if self.webhook_port and self.webhook_secrets_file is None:
            raise ValueError("webhook_port needs webhook_secrets_file")
        return self
