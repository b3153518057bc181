"""Fitness functions: ways to score a first run, chosen by name."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class RunSignals:
    """What a first run showed. `measurements` is whatever the caller measured, JSON-shaped."""

    tenant_id: str
    syntax_error: bool = False
    execution_success: bool = False
    user_approved: bool = False
    measurements: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FitnessFunction:
    """A named way to score a first run, from 0 to 1; more or less is clamped.

    The same signals must give the same score: it is asked again when a person approves. `score` may be a coroutine
    function, and must not block. What it raises, and what is no finite number, leaves the variant unevaluated, and the
    caller gets the reason.

    With another `version` (at most 64 characters) than before, the service scores all first runs again that it scored.
    Without one nothing is scored again, whatever became of the function.
    """

    name: str
    description: str
    score: Callable[[RunSignals], "float | Awaitable[float]"]
    version: str = ""
