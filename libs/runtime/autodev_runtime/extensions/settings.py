"""The settings of every service about its extensions."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from autodev_runtime.extensions.addresses import check_address, parse_pairs

Pairs = Annotated[dict[str, str], NoDecode, BeforeValidator(parse_pairs)]


class ExtensionSettings(BaseSettings):
    """Where extensions are, and what asking them may take. See docs/extensions.md."""

    model_config = SettingsConfigDict(use_attribute_docstrings=True)

    extensions: Pairs = {}
    """Extensions that are gRPC services, `name=address` between commas: `host:port` on loopback (or `unix:path`) in
    plain text, `tls://host:port` anywhere."""
    extension_ca_file: Path | None = None
    """PEM of the authorities that extensions' certificates may come from; unset: this machine's."""
    extension_cert_file: Path | None = None
    """PEM of the certificate that the service proves itself by to extensions; unset: none."""
    extension_key_file: Path | None = None
    """PEM of its private key."""
    extension_timeout_s: float = Field(default=5.0, gt=0, le=600)
    """How long an extension may take to answer; what runs or writes code has its own limits on top."""
    extension_max_message_bytes: int = Field(default=8 * 1024 * 1024, ge=1024)
    """The greatest message to or from an extension. A greater answer is none, and of a sandbox an execution that ends
    as OUTPUT_LIMIT."""
    extension_max_in_flight: int = Field(default=32, ge=1)
    """Questions to one extension at a time; more are refused with EXTENSION_BUSY. Executions of a sandbox wait."""
    extension_failures: int = Field(default=5, ge=1)
    """Failures in a row after which an extension is not asked for a while."""
    extension_rest_s: float = Field(default=10.0, gt=0)
    """For how long; then its health is asked, and if that is well, one question tries it."""

    @model_validator(mode="after")
    def _reachable_safely(self) -> Self:
        for name, address in self.extensions.items():
            check_address(name, address)
        if (self.extension_cert_file is None) != (self.extension_key_file is None):
            raise ValueError("extension_cert_file and extension_key_file go together")
        if self.extension_cert_file is not None and self.extension_ca_file is None:
            raise ValueError("with extension_cert_file, extension_ca_file must say who vouches for extensions")
        return self
