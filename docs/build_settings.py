"""Writes docs/settings.md from the services' settings classes: `make settings-page`."""

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
from autodev_runtime.settings import ServiceSettings
from autodev_sandbox.settings import SandboxSettings

PAGE = Path(__file__).with_name("settings.md")
SERVICES: dict[str, type[ServiceSettings]] = {
    "gateway": GatewaySettings,
    "capability": CapabilitySettings,
    "learning": LearningSettings,
    "fitness": FitnessSettings,
    "sandbox": SandboxSettings,
}
COMMON = ServiceSettings.model_fields
HEAD = """# Settings

Each service reads its settings from the environment: `AUTODEV_<SERVICE>_<NAME>`, for instance
`AUTODEV_LEARNING_PROPOSAL_SECONDS=5`. Secrets are files; a setting names the file. Where `AUTODEV_SECRETS_DIR` names a
folder, a file in it that is called as a variable, in lower case, is that variable's value where the environment has
none: so a `DATABASE_URL` with its password can be a file, too. This page is built from the code by
`make settings-page`.
"""


def page() -> str:
    """The whole page."""
    tables = {key: field for key, field in DatabaseSettings.model_fields.items() if differs(key, field, COMMON)}
    parts = [HEAD, section("Every service", COMMON), section("Every service but the sandbox, on PostgreSQL", tables)]
    for name, settings in SERVICES.items():
        own = {key: field for key, field in settings.model_fields.items() if differs(key, field, COMMON | tables)}
        parts.append(section(f"{name}: `AUTODEV_{name.upper()}_`", own))
    return "\n".join(parts)


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
    return "unset" if default in (None, "", {}) else f"`{_plain(default)}`"


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
