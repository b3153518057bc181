"""The fitness service's settings: `AUTODEV_FITNESS_...`."""

from typing import Self

from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict

from autodev_fitness.comparison import ComparisonRules
from autodev_fitness.functions import MeasuredWeights
from autodev_fitness.scoring import ProxyWeights, SignalWeights
from autodev_runtime.database_settings import DatabaseSettings


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

    @model_validator(mode="after")
    def _value_counts(self) -> Self:
        if self.signal_weights.value_per_point <= 0:
            raise ValueError("signal_weights.value_per_point must be above 0")
        return self
