"""Fitness functions: ways to score a first run, found by name.

One of the user's own is a `FitnessFunction` behind an entry point of the group `autodev.fitness_functions`:

    [project.entry-points."autodev.fitness_functions"]
    "acme.cost" = "acme_fitness:COST"
"""

import logging
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import entry_points

from autodev_fitness.scoring import ProxySignals, ProxyWeights, clamp, proxy_score
from autodev_runtime.errors import AutoDevError, FailedPrecondition, InvalidArgument

DEFAULT = "proxy"
GROUP = "autodev.fitness_functions"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FitnessFunction:
    """A named way to score a first run. The score is clamped to [0, 1]; `score` raises AutoDevError for bad signals."""

    name: str
    description: str
    score: Callable[[ProxySignals], float]


@dataclass(frozen=True, slots=True)
class MeasuredWeights:
    """What the built-in function "measured" gives for correctness, speed and approval; 1 in all."""

    correctness: float = 0.6
    speed: float = 0.2
    approved: float = 0.2


def measured_score(signals: ProxySignals, weights: MeasuredWeights) -> float:
    """Blend how many inputs were right with how fast they were, both from the run's measurements.

    `correct` of `total` inputs gave the expected value; without a total, the run's success stands for all.
    `time_ratio` is the run's time divided by the original's: 1 / (1 + ratio) makes 1 of no time, 0.5 of the same time.
    Code that does not parse is worth 0. Raises InvalidArgument for measurements that are no such numbers.
    """
    if signals.syntax_error:
        return 0.0
    total = _measurement(signals, "total", float(signals.execution_success))
    correct = _measurement(signals, "correct", total)
    if correct > total:
        raise InvalidArgument.field("signals.measurements.correct", "is more than the total")
    correctness = correct / total if total else 0.0
    speed = 1 / (1 + _measurement(signals, "time_ratio", 1.0))
    # Being fast at wrong answers is worth nothing.
    blended = correctness * (weights.correctness + weights.speed * speed)
    return clamp(blended + weights.approved * signals.user_approved)


def _measurement(signals: ProxySignals, name: str, default: float) -> float:
    value = signals.measurements.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise InvalidArgument.field(f"signals.measurements.{name}", "is not a number of 0 or more")
    return float(value)


class FitnessFunctions:
    """The functions by name. The built-in ones come first; none may take another's name."""

    def __init__(self, proxy: ProxyWeights, measured: MeasuredWeights, others: Iterable[FitnessFunction] = ()) -> None:
        built_in = (
            FitnessFunction(
                DEFAULT,
                "no syntax error, execution success, approved by the user",
                lambda signals: proxy_score(signals, proxy),
            ),
            FitnessFunction(
                "measured",
                "share of inputs that were right, and speed against the original (measurements: correct, total, "
                "time_ratio)",
                lambda signals: measured_score(signals, measured),
            ),
        )
        self._functions: dict[str, FitnessFunction] = {}
        for function in (*built_in, *sorted(others, key=lambda each: each.name)):
            if function.name in self._functions:
                raise ValueError(f"two fitness functions are named {function.name!r}")
            self._functions[function.name] = function

    def all(self) -> list[FitnessFunction]:
        """The built-in functions, then the others by name."""
        return list(self._functions.values())

    def named(self, name: str) -> FitnessFunction:
        """The function of this name; the default one for an empty name. Raises FailedPrecondition."""
        try:
            return self._functions[name or DEFAULT]
        except KeyError:
            raise FailedPrecondition(
                f"no fitness function is named {name!r}",
                reason="UNKNOWN_FITNESS_FUNCTION",
                metadata={"known": ",".join(self._functions)},
            ) from None

    def score(self, name: str, signals: ProxySignals) -> float:
        """The score by a function, in [0, 1]. Raises FailedPrecondition where it fails or gives no number."""
        try:
            score = float(self.named(name).score(signals))
        except AutoDevError:
            raise
        except Exception as error:
            # A user's function may raise anything; only its own variants suffer.
            log.exception("the fitness function %r failed", name)
            raise _failed(name, f"raised {type(error).__name__}") from error
        if not math.isfinite(score):
            raise _failed(name, f"gave {score}")
        return clamp(score)


def _failed(name: str, how: str) -> FailedPrecondition:
    return FailedPrecondition(f"the fitness function {name!r} {how}", reason="FITNESS_FUNCTION_FAILED")


def installed_functions() -> list[FitnessFunction]:
    """The functions that installed distributions offer. Raises TypeError for an entry point that is none."""
    found = []
    for entry in entry_points(group=GROUP):
        function = entry.load()
        if not isinstance(function, FitnessFunction):
            raise TypeError(f"the entry point {entry.name!r} of {GROUP} is no FitnessFunction")
        found.append(function)
    return found
