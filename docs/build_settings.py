"""Writes docs/settings.md, and which settings the chart's values may hold, from the services' settings classes:
`make settings-page`.
"""

import json
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from autodev_capability.settings import CapabilitySettings
from autodev_fitness.settings import FitnessSettings
from autodev_gateway.settings import GatewaySettings
from autodev_learning.settings import LearningSettings
from autodev_runtime.database_settings import DatabaseSettings
from autodev_runtime.settings import MESH_FILES, ServiceSettings
from autodev_sandbox.settings import SandboxSettings

PAGE = Path(__file__).with_name("settings.md")
SCHEMA = Path(__file__).parents[1] / "deploy/helm/autodev/values.schema.json"
SERVICES: dict[str, type[ServiceSettings]] = {
    "gateway": GatewaySettings,
    "capability": CapabilitySettings,
    "learning": LearningSettings,
    "fitness": FitnessSettings,
    "sandbox": SandboxSettings,
}
COMMON = ServiceSettings.model_fields
# Their passwords make them secrets, which values and ConfigMaps must not hold.
WITH_PASSWORDS = {"database_url", "database_all_tenants_url"}
# What the chart itself states, by values of its own or since the rest of it counts on that.
BY_THE_CHART = {"data_dir", "host", "metrics_host", "metrics_port", "otlp_endpoint", "port", *MESH_FILES}
OF_THE_GATEWAY_BY_THE_CHART = {
    "allow_plaintext",
    "api_keys_file",
    "event_log",
    "internal_host",
    "internal_port",
    "jetstream_replicas",
    "mode",
    "nats_credentials_file",
    "nats_monitor_urls",
    "nats_url",
    "tls_cert_file",
    "tls_key_file",
    "webhook_host",
    "webhook_port",
    "webhook_secrets_file",
}
# They are installed when an image is made (docs/deployment.md, "Images"): a pod has neither an installer nor a way out.
OF_THE_SANDBOX_BY_ITS_IMAGE = {"packages"}
HEAD = """# Settings

Each service reads its settings from the environment: `AUTODEV_<SERVICE>_<NAME>`, for instance
`AUTODEV_LEARNING_PROPOSAL_SECONDS=5`. Secrets are files; a setting names the file. Where `AUTODEV_SECRETS_DIR` names a
folder, a file in it that is called as a variable, in lower case, is that variable's value where the environment has
none: so a `DATABASE_URL` with its password can be a file, too. A setting that has parts (weights, `COMPARISON`) is set
part by part, as `AUTODEV_FITNESS_PROXY_WEIGHTS__APPROVED=0.4`; the rest of it stays.

A wrong value ends the service with a line that names the variable, as an empty file does. A variable or a file that
begins like a service's and is no setting changes nothing, and is named in that service's log, a variable by
`autodev up`, too. This page is built from the code by `make settings-page`.
"""


def page() -> str:
    """The whole page."""
    tables = {key: field for key, field in DatabaseSettings.model_fields.items() if differs(key, field, COMMON)}
    parts = [HEAD, section("Every service", COMMON), section("Every service but the sandbox, on PostgreSQL", tables)]
    for name, settings in SERVICES.items():
        own = {key: field for key, field in settings.model_fields.items() if differs(key, field, COMMON | tables)}
        parts.append(section(f"{name}: `AUTODEV_{name.upper()}_`", own))
    return "\n".join(parts)


def schema() -> str:
    """The whole schema of the chart's values: as it is, with the names of each service's settings renewed."""
    whole = json.loads(SCHEMA.read_text())
    for service, values in whole["properties"]["services"]["properties"].items():
        values["properties"]["settings"]["properties"] = dict.fromkeys(chart_settings(service), True)
    return json.dumps(whole, indent=2) + "\n"


def chart_settings(service: str) -> list[str]:
    """The settings that the chart's values may hold: none that is secret, or that the chart or the image states."""
    own = {"gateway": OF_THE_GATEWAY_BY_THE_CHART, "sandbox": OF_THE_SANDBOX_BY_ITS_IMAGE}
    stated = WITH_PASSWORDS | BY_THE_CHART | own.get(service, set())
    return sorted(
        name
        for name, field in SERVICES[service].model_fields.items()
        if name not in stated and not name.endswith("_address") and field.annotation is not SecretStr
    )


def differs(name: str, field: FieldInfo, shared: dict[str, FieldInfo]) -> bool:
    """Whether a service has the setting for itself, or with a default of its own."""
    common = shared.get(name)
    if common is None:
        return True
    field.description = field.description or common.description
    return default_of(field) != default_of(common)


def section(title: str, table: dict[str, FieldInfo]) -> str:
    """One table."""
    rows = "".join(
        f"| `{field.validation_alias or name.upper()}` | {default_of(field)} | {text_of(name, field)} |\n"
        for name, field in table.items()
    )
    return f"## {title}\n\n| setting | default | what it does |\n|---|---|---|\n{rows}"


def default_of(field: FieldInfo) -> str:
    """A default as a person would write it."""
    if field.default_factory is not None:
        return "by machine"
    default: Any = field.default
    if default is PydanticUndefined:
        return "each its own"
    if is_dataclass(default):
        return ", ".join(f"`{each.name.upper()}={getattr(default, each.name)}`" for each in fields(default))
    if isinstance(default, list | frozenset):
        return ", ".join(f"`{_plain(each)}`" for each in sorted(default))
    if isinstance(default, SecretStr):
        return "unset"
    return "unset" if default in (None, "", (), {}) else f"`{_plain(default)}`"


def _plain(value: Any) -> str:
    if isinstance(value, Enum):
        return str(value.value) if isinstance(value.value, str) else value.name
    return str(value)


def text_of(name: str, field: FieldInfo) -> str:
    """What the field's docstring says, on one line; addresses of peers speak for themselves."""
    said = field.description or ("Where that service listens." if name.endswith("_address") else "")
    if not said:
        raise ValueError(f"the setting {name} has no docstring")
    return " ".join(said.split())


if __name__ == "__main__":
    PAGE.write_text(page())
    SCHEMA.write_text(schema())
