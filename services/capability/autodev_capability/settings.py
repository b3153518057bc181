"""The capability service's settings: `AUTODEV_CAPABILITY_...`."""

from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from autodev_capability.maturity import GraduationRules, Maturity
from autodev_runtime.database_settings import DatabaseSettings
from autodev_runtime.extensions.addresses import parse_pairs
from autodev_runtime.named import named

level_named = named(Maturity)


def levels_named(pairs: Any) -> Any:
    """`name=level` pairs, the levels by their names."""
    parsed = parse_pairs(pairs)
    return {name: level_named(level) for name, level in parsed.items()} if isinstance(parsed, dict) else parsed


Levels = Annotated[dict[str, Maturity], NoDecode, BeforeValidator(levels_named)]


class CapabilitySettings(DatabaseSettings):
    """See `DatabaseSettings` for what every service has."""

    model_config = SettingsConfigDict(env_prefix="AUTODEV_CAPABILITY_")

    port: int = Field(default=50052, ge=0, le=65535)
    intern_successes: int = Field(default=5, ge=1)
    """Verified successes that make a STUDENT an INTERN."""
    supervised_successes: int = Field(default=20, ge=1)
    """Verified successes that make an INTERN SUPERVISED."""
    autonomous_successes: int = Field(default=50, ge=1)
    """Verified successes that make a SUPERVISED agent AUTONOMOUS."""
    refutations_to_demote: int = Field(default=1, ge=1)
    """Refuted successes that cost a level."""
    snapshot_s: float = Field(default=1.0, ge=0, le=1)
    """How long CheckCapability may answer from memory what another replica changed. Reservations never do."""
    keep_days: int = Field(default=30, ge=3)
    """For how many days after its own a reservation is kept, and an event may count: for so long it may be repeated."""
    extension_levels: Levels = Field(default={})
    """The maturity that each capability of `extensions` needs: `acme.deploy=supervised`."""

    @model_validator(mode="after")
    def _extensions_have_levels(self) -> Self:
        if missing := sorted(set(self.extensions) - set(self.extension_levels)):
            raise ValueError(f"extension_levels must say which maturity these need: {', '.join(missing)}")
        if unknown := sorted(set(self.extension_levels) - set(self.extensions)):
            raise ValueError(f"extension_levels names what extensions does not: {', '.join(unknown)}")
        return self

    @model_validator(mode="after")
    def _levels_rise(self) -> Self:
        if not self.intern_successes < self.supervised_successes < self.autonomous_successes:
            raise ValueError("each level must take more successes than the one below it")
        return self

    @property
    def graduation(self) -> GraduationRules:
        """The rules that the settings state."""
        return GraduationRules(
            self.intern_successes, self.supervised_successes, self.autonomous_successes, self.refutations_to_demote
        )
