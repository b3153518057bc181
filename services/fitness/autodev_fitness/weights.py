"""Weights as one value with a name: what a score was computed with, and when that changed.

The weights that services start with are numbered in a table, one number for each change. The newest number is in use:
of two replicas with different settings, as while a release is rolled out, the one that started last is right, and only
replicas with its weights recalculate. A replica with others still scores by its own and says so in the variant's
`weights_version`, so that the others find it. A score is of one number as a whole: a signal that comes before a variant
is scored again is weighed as all else in its score.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any

from autodev_fitness.functions import MeasuredWeights
from autodev_fitness.scoring import (
    DEFAULT_PROXY_WEIGHTS,
    DEFAULT_SIGNAL_WEIGHTS,
    ExternalSignal,
    ProxyWeights,
    SignalWeights,
    adjustment,
)

if TYPE_CHECKING:
    from autodev_fitness.weights_store import WeightsStore

DEFAULT_MEASURED_WEIGHTS = MeasuredWeights()
UNRECORDED = 0
"""The version of scores that were computed before weights were numbered."""


@dataclass(frozen=True, slots=True)
class Weights:
    """Everything that a score depends on, besides what a variant's runs and signals showed.

    `functions`: the versions of the user's own fitness functions that state one, by name.
    """

    proxy: ProxyWeights = DEFAULT_PROXY_WEIGHTS
    measured: MeasuredWeights = DEFAULT_MEASURED_WEIGHTS
    signals: SignalWeights = DEFAULT_SIGNAL_WEIGHTS
    functions: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The weights by name. Without functions that state versions: as before functions could."""
        stated = asdict(self)
        if not stated["functions"]:
            del stated["functions"]
        return stated

    @property
    def digest(self) -> str:
        """The same for the same weights, in every process."""
        text = json.dumps(self.as_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class NumberedWeights:
    """Weights in use since a moment; version 0, without either, where they were not recorded."""

    version: int
    weights: Weights | None = None
    since: datetime | None = None

    def adjustment(self, signal: ExternalSignal) -> float:
        """What a signal adds by them. Those that were not recorded add nothing."""
        return adjustment(signal, self.weights.signals) if self.weights is not None else 0.0


def weights_from(stored: Mapping[str, Any]) -> Weights:
    """What `as_json` gave. A weight that this release does not know is left out, a missing one has its default."""
    return Weights(
        ProxyWeights(**_known(ProxyWeights, stored.get("proxy", {}))),
        MeasuredWeights(**_known(MeasuredWeights, stored.get("measured", {}))),
        SignalWeights(**_known(SignalWeights, stored.get("signals", {}))),
        {str(name): str(version) for name, version in stored.get("functions", {}).items()},
    )


def _known(kind: Any, stored: Mapping[str, Any]) -> dict[str, float]:
    names: Iterable[str] = (each.name for each in fields(kind))
    return {name: float(stored[name]) for name in names if name in stored}


class WeightsInUse:
    """This replica's weights and their number. `version` is 0 until `look` was called once."""

    def __init__(self, weights: Weights, store: "WeightsStore", clock: Callable[[], datetime]) -> None:
        self.weights = weights
        self.version = UNRECORDED
        self._store = store
        self._clock = clock

    async def start(self) -> None:
        """Have the weights be the newest."""
        self.version = await self._store.number(self.weights, self._clock())

    async def newest(self) -> bool:
        """Whether no other weights came after these."""
        version, digest = await self._store.newest()
        if digest != self.weights.digest:
            return False
        self.version = version
        return True
