"""Fitness functions: ways to score a first run, found by name.

One of the user's own is a `FitnessFunction` behind an entry point of the group `autodev.fitness_functions`, or a gRPC
service that the settings name (docs/extensions.md):

    [project.entry-points."autodev.fitness_functions"]
    "acme.cost" = "acme_fitness:COST"
"""

import asyncio
import inspect
import logging
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from autodev.extension.v1 import fitness_function_service_pb2 as pb
from autodev.extension.v1.fitness_function_service_pb2_grpc import FitnessFunctionServiceStub
from autodev_fitness.scoring import ProxySignals, ProxyWeights, clamp, proxy_score
from autodev_runtime.errors import AutoDevError, FailedPrecondition, InvalidArgument, Unavailable
from autodev_runtime.extensions.remote import Extension
from autodev_runtime.structs import fill_struct
from autodev_sdk.extensions import Broken, FitnessFunction, Group, RunSignals, installed

DEFAULT = "proxy"
AWAY = "FITNESS_FUNCTION_AWAY"
MOST_VERSION_CHARACTERS = 64

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MeasuredWeights:
    """What the built-in function "measured" gives for correctness, speed and approval; 1 in all."""

    correctness: float = 0.6
    speed: float = 0.2
    approved: float = 0.2


def measured_score(signals: ProxySignals | RunSignals, weights: MeasuredWeights) -> float:
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


def _measurement(signals: ProxySignals | RunSignals, name: str, default: float) -> float:
    value = signals.measurements.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise InvalidArgument.field(f"signals.measurements.{name}", "is not a number of 0 or more")
    return float(value)


class FitnessFunctions:
    """The functions by name. The built-in ones come first; none may take another's name.

    Args:
        proxy, measured: what the built-in functions weigh.
        others: the user's own.
        broken: those of the user's own that could not be loaded: who asks for one learns why.
        timeout_s: how long a function may take. One that blocks is not ended by it.
    """

    def __init__(
        self,
        proxy: ProxyWeights,
        measured: MeasuredWeights,
        others: Iterable[FitnessFunction] = (),
        broken: Iterable[Broken] = (),
        timeout_s: float = 5.0,
    ) -> None:
        self._timeout_s = timeout_s
        built_in = (
            FitnessFunction(
                DEFAULT,
                "no syntax error, execution success, approved by the user",
                lambda signals: proxy_score(proxy_signals(signals), proxy),
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
        self._broken = {each.name: each.reason for each in broken}

    def version_of(self, name: str) -> str:
        """The version that a function states; empty where it states none, or is gone."""
        return self._functions[name].version if name in self._functions else ""

    def all(self) -> list[FitnessFunction]:
        """The built-in functions, then the others by name."""
        return list(self._functions.values())

    def named(self, name: str) -> FitnessFunction:
        """The function of this name; the default one for an empty name. Raises FailedPrecondition."""
        try:
            return self._functions[name or DEFAULT]
        except KeyError:
            if name in self._broken:
                raise _failed(name, f"could not be loaded: {self._broken[name]}") from None
            raise FailedPrecondition(
                f"no fitness function is named {name!r}",
                reason="UNKNOWN_FITNESS_FUNCTION",
                metadata={"known": ",".join(self._functions)},
            ) from None

    async def score(self, name: str, tenant: str, signals: ProxySignals) -> float:
        """The score by a function, in [0, 1].

        Raises FailedPrecondition where it fails or gives no number, Unavailable where it is away or takes too long.
        """
        try:
            async with asyncio.timeout(self._timeout_s) as limit:
                answer = self.named(name).score(run_signals(tenant, signals))
                score = float(await answer if inspect.isawaitable(answer) else answer)
        except AutoDevError:
            raise
        except (Exception, asyncio.CancelledError) as error:
            if limit.expired():
                raise Unavailable(
                    f"the fitness function {name!r} gave no score within {self._timeout_s:g} s", reason=AWAY
                ) from None
            if isinstance(error, asyncio.CancelledError) and _is_cancelled():
                raise
            # A user's function may raise anything; only its own variants suffer.
            log.exception("the fitness function %r failed", name)
            raise _failed(name, f"raised {type(error).__name__}") from error
        if not math.isfinite(score):
            raise _failed(name, f"gave {score}")
        return clamp(score)


def _is_cancelled() -> bool:
    """Whether it is the caller that is cancelled, and not what a function waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _failed(name: str, how: str) -> FailedPrecondition:
    return FailedPrecondition(f"the fitness function {name!r} {how}", reason="FITNESS_FUNCTION_FAILED")


def run_signals(tenant: str, signals: ProxySignals) -> RunSignals:
    """The signals as a function of the user's gets them."""
    return RunSignals(
        tenant, signals.syntax_error, signals.execution_success, signals.user_approved, signals.measurements
    )


def proxy_signals(signals: RunSignals) -> ProxySignals:
    """The same as the built-in functions have them."""
    return ProxySignals(signals.syntax_error, signals.execution_success, signals.user_approved, signals.measurements)


def installed_functions(taken: Iterable[str] = ()) -> tuple[list[FitnessFunction], list[Broken]]:
    """The functions that installed distributions offer, and those that cannot be used: named otherwise than their
    entry points, or as a function that is `taken`, or with a version that is none."""
    found = installed(Group.FITNESS_FUNCTIONS, FitnessFunction)
    names = {DEFAULT, "measured", *taken}
    working, broken = [], list(found.broken)
    for name, function in found.working.items():
        if fault := _fault(function, name, names):
            log.error("the fitness function %r cannot be used: %s", name, fault)
            broken.append(Broken(name, fault))
        else:
            working.append(function)
    return working, broken


def _fault(function: FitnessFunction, name: str, taken: Iterable[str]) -> str:
    if function.name != name:
        return f"calls itself {function.name!r}"
    if name in taken:
        return "the name is taken"
    if not isinstance(function.version, str) or len(function.version) > MOST_VERSION_CHARACTERS:
        return f"its version is no text of at most {MOST_VERSION_CHARACTERS} characters"
    return ""


def stated_versions(functions: Iterable[FitnessFunction]) -> dict[str, str]:
    """The versions of those that state one, by name."""
    return {function.name: function.version for function in functions if function.version}


def remote_functions(extensions: Mapping[str, Extension], versions: Mapping[str, str]) -> list[FitnessFunction]:
    """The functions that are gRPC services, with the versions that the settings state."""
    return [_remote_function(extension, versions.get(name, "")) for name, extension in extensions.items()]


def _remote_function(extension: Extension, version: str) -> FitnessFunction:
    stub = FitnessFunctionServiceStub(extension.channel)

    async def score(signals: RunSignals) -> float:
        request = pb.ScoreRunRequest(
            tenant_id=signals.tenant_id,
            function=extension.name,
            syntax_error=signals.syntax_error,
            execution_success=signals.execution_success,
            user_approved=signals.user_approved,
        )
        fill_struct(request.measurements, signals.measurements)
        try:
            answer: pb.ScoreRunResponse = await extension.ask(stub.ScoreRun, request)
        except FailedPrecondition as error:
            raise _failed(extension.name, f"did not score the run: {error.message}") from None
        except AutoDevError as error:
            raise Unavailable(error.message, reason=AWAY) from None
        return answer.score

    return FitnessFunction(extension.name, "a gRPC service of the user's own", score, version)
