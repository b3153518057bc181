"""What an operator can set, as AUTODEV_SANDBOX_<NAME>."""

import os
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from autodev_runtime.extensions.addresses import parse_pairs
from autodev_runtime.named import named
from autodev_runtime.settings import ServiceSettings
from autodev_sandbox import packages, rootfs
from autodev_sandbox.ceiling import Ceiling
from autodev_sandbox.execution import MIB, IsolationLevel, Limits

level_named = named(IsolationLevel)


def levels_named(names: Any) -> Any:
    return frozenset(map(level_named, names.split(","))) if isinstance(names, str) else names


Level = Annotated[IsolationLevel, BeforeValidator(level_named)]


def extension_levels_named(pairs: Any) -> Any:
    """`name=level` pairs, the levels by their names."""
    parsed = parse_pairs(pairs)
    return {name: level_named(level) for name, level in parsed.items()} if isinstance(parsed, dict) else parsed


ExtensionLevels = Annotated[dict[str, IsolationLevel], NoDecode, BeforeValidator(extension_levels_named)]
Packages = Annotated[tuple[str, ...], NoDecode, BeforeValidator(packages.parse)]
Levels = Annotated[frozenset[IsolationLevel], NoDecode, BeforeValidator(levels_named)]


class SandboxSettings(ServiceSettings):
    """See docs/settings.md."""

    model_config = SettingsConfigDict(env_prefix="AUTODEV_SANDBOX_")

    port: int = Field(default=50055, ge=0, le=65535)
    levels: Levels = frozenset(IsolationLevel)
    """The levels to offer where they work, as `namespace,container`. PROCESS needs `allow_process` besides."""
    allow_process: bool = False
    """Whether code may run with resource limits alone, where no better level works."""
    minimum: Level | None = None
    """The least isolation of any execution. Unset: NAMESPACE, or PROCESS if that is allowed."""
    extension_levels: ExtensionLevels = Field(default={})
    """How strongly the sandboxes of `extensions`, and those of installed distributions, keep code apart:
    `acme.microvm=container_gvisor`. Each takes the built-in one's place at its level. An installed one that is not
    named is not used."""
    cache_dir: Path = Field(default_factory=rootfs.default_cache)
    """Where the sandbox's root directory is kept. Other users must be able to enter it."""
    packages: Packages = ()
    """Python packages for the code at the strong levels: `numpy==2.1.3 six==1.17.0`, their dependencies too; wheels
    only. Installed when the sandbox's root is made."""
    image: str = ""
    """The container image to use, pulled where it is missing (see deploy/sandbox.Dockerfile). Empty: assembled here."""
    container_pool_floor: int = Field(default=1, ge=0)
    """Started containers that are kept ready at the least; demand makes it more."""
    container_pool_ceiling: int | None = Field(default=None, ge=1)
    """The most of them, those in use and being removed too. Unset: four for each slot."""
    namespace_pool_floor: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=0)
    """Started sandboxes of the namespace level that are kept ready at the least."""
    namespace_pool_ceiling: int | None = Field(default=None, ge=0)
    """The most of them, as of containers. Unset: two for each slot, since more only take each other's processor. 0: no
    pool, each is made when it is needed."""
    slots: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=1)
    """Executions at a time."""
    spare_slots: int = Field(default=1, ge=0)
    """So many more at a time, of workspaces that have nothing running: one's long executions do not hold up another."""
    max_waiting: int = Field(default=256, ge=0)
    """Executions that may wait for a slot. When more come, the newest of the workspace with the most is turned away."""
    default_timeout_s: float = Field(default=360.0, gt=0)
    """Longer than the longest execution."""
    max_timeout_s: float = Field(default=300.0, gt=0)
    """As much as `SkillService.ExecuteSkill` lets a skill take."""
    max_memory_bytes: int = Field(default=1024 * MIB, ge=16 * MIB)
    """The most memory that an execution may ask for."""
    max_cpus: float = Field(default_factory=lambda: float(os.cpu_count() or 1), gt=0)
    """The most cores that an execution may ask for."""
    max_output_bytes: int = Field(default=1 * MIB, ge=1)
    """The most that an execution may print, and that its value's JSON text may have. An answer may take nearly nine
    times as much; one that does not fit into a message ends as OUTPUT_LIMIT."""
    max_processes: int = Field(default=256, ge=1)
    """The most processes and threads that an execution may ask for."""
    max_file_bytes: int = Field(default=4 * MIB, ge=0)
    """The most that the files of an execution may hold together, those that go in and those that come back."""
    max_batch_inputs: int = Field(default=10_000, ge=1, le=10_000)
    """The most inputs of a batch."""
    max_batch_s: float = Field(default=600.0, gt=0)
    """How long a batch may take, waiting included; then it ends with DEADLINE_EXCEEDED, after the results so far."""

    @model_validator(mode="after")
    def _extensions_have_levels(self) -> Self:
        if missing := sorted(set(self.extensions) - set(self.extension_levels)):
            raise ValueError(f"extension_levels must declare how strong these sandboxes are: {', '.join(missing)}")
        levels = list(self.extension_levels.values())
        if twice := sorted({level.name for level in levels if levels.count(level) > 1}):
            raise ValueError(f"two extensions cannot serve one level: {', '.join(twice)}")
        if IsolationLevel.PROCESS in levels and not self.allow_process:
            raise ValueError("an extension of the level PROCESS needs allow_process")
        return self

    @property
    def effective_minimum(self) -> IsolationLevel:
        if self.minimum is not None:
            return self.minimum
        return IsolationLevel.PROCESS if self.allow_process else IsolationLevel.NAMESPACE

    @property
    def container_ceiling(self) -> int:
        """Fewer than slots would hold executions up, and the engine removes slowly."""
        stated = self.container_pool_ceiling
        return stated if stated is not None else 4 * (self.slots + self.spare_slots)

    @property
    def namespace_ceiling(self) -> int:
        stated = self.namespace_pool_ceiling
        return stated if stated is not None else 2 * self.slots + self.spare_slots

    @property
    def ceiling(self) -> Ceiling:
        limits = Limits(
            timeout_s=self.max_timeout_s,
            memory_bytes=self.max_memory_bytes,
            cpus=self.max_cpus,
            output_bytes=self.max_output_bytes,
            processes=self.max_processes,
            file_bytes=self.max_file_bytes,
        )
        return Ceiling(limits, self.max_batch_inputs, self.max_message_bytes)
