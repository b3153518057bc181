"""The fitness service's settings: `AUTODEV_FITNESS_...`."""

from dataclasses import asdict
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, StringConstraints, model_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from autodev_fitness.comparison import ComparisonRules
from autodev_fitness.functions import MOST_VERSION_CHARACTERS, MeasuredWeights
from autodev_fitness.scoring import ProxyWeights, SignalWeights
from autodev_runtime.database_settings import DatabaseSettings
from autodev_runtime.extensions.addresses import parse_pairs

Version = Annotated[str, StringConstraints(min_length=1, max_length=MOST_VERSION_CHARACTERS)]
Versions = Annotated[dict[str, Version], NoDecode, BeforeValidator(parse_pairs)]
LARGEST_WEIGHT = 1e9
"""Scores are in [0, 1]: a larger weight is a slip, and sums of such could overflow."""


class FitnessSettings(DatabaseSettings):
    """See `DatabaseSettings` for what every service has. Weights: `AUTODEV_FITNESS_PROXY_WEIGHTS__APPROVED=0.4`."""

    model_config = SettingsConfigDict(env_prefix="AUTODEV_FITNESS_", env_nested_delimiter="__")

    port: int = Field(default=50054, ge=0, le=65535)
    proxy_weights: ProxyWeights = ProxyWeights()
    """What each signal of a first run is worth."""
    measured_weights: MeasuredWeights = MeasuredWeights()
    """The same for the function `measured`."""
    signal_weights: SignalWeights = SignalWeights()
    """What each delayed signal adds."""
    comparison: ComparisonRules = ComparisonRules()
    """When a variant is faster or cheaper by more than the noise."""
    most_signals: int = Field(default=10_000, ge=1)
    """Signals that a variant may have: an answer holds all of them, and has a greatest size."""

    recalculation_batch_rows: int = Field(default=2_000, ge=1)
    """Variants and signals that are read at a time while scores are computed again, after weights changed."""

    extension_versions: Versions = Field(default={})
    """Versions of fitness functions of `extensions`, `acme.cost=2`: with another, what one scored is scored again."""

    @model_validator(mode="after")
    def _versions_are_of_extensions(self) -> Self:
        if unknown := sorted(set(self.extension_versions) - set(self.extensions)):
            raise ValueError(f"extension_versions names what extensions does not: {', '.join(unknown)}")
        return self

    @model_validator(mode="after")
    def _weights_are_small(self) -> Self:
        for name in ("proxy_weights", "measured_weights", "signal_weights"):
            for weight, value in asdict(getattr(self, name)).items():
                if not abs(value) <= LARGEST_WEIGHT:
                    raise ValueError(f"{name}.{weight} must be between -{LARGEST_WEIGHT:g} and {LARGEST_WEIGHT:g}")
        return self

    @model_validator(mode="after")
    def _value_counts(self) -> Self:
        if self.signal_weights.value_per_point <= 0:
            raise ValueError("signal_weights.value_per_point must be above 0")
        return self
