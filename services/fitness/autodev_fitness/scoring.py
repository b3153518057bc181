"""Scores: what a first run shows, and what the world says later.

A score is clamp(proxy + the sum of the accepted signals' adjustments) in [0, 1]. The sum is exact (math.fsum), so the
order in which signals come cannot matter, not even in the last bit.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True, slots=True)
class ProxyWeights:
    """What each fact of a first run adds."""

    parses: float = 0.2
    runs: float = 0.3
    approved: float = 0.5


@dataclass(frozen=True, slots=True)
class ProxySignals:
    """What a first run showed. `measurements` is for custom fitness functions: JSON of no fixed shape."""

    syntax_error: bool = False
    execution_success: bool = False
    user_approved: bool = False
    measurements: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


class SignalKind(StrEnum):
    """What the world can say."""

    INVOICE_CREATED = "invoice_created"
    CRM_CONVERSION = "crm_conversion"
    CONVERSION_SUCCESS = "conversion_success"
    CONVERSION_VALUE = "conversion_value"
    EMAIL_BOUNCE = "email_bounce"
    ERROR_SIGNAL = "error_signal"


@dataclass(frozen=True, slots=True)
class SignalWeights:
    """What each signal adds. A conversion's value adds value / `value_per_point`, at most `value_at_most`."""

    invoice_created: float = 0.4
    crm_conversion: float = 0.5
    conversion_success: float = 0.6
    value_per_point: float = 1000.0
    value_at_most: float = 0.5
    email_bounce: float = -0.3
    error_signal: float = -0.5


@dataclass(frozen=True, slots=True)
class ExternalSignal:
    """One thing the world said. `value` is that of a CONVERSION_VALUE, at least 0."""

    id: str
    kind: SignalKind
    value: float = 0.0
    occurred_at: datetime | None = None


DEFAULT_PROXY_WEIGHTS = ProxyWeights()
DEFAULT_SIGNAL_WEIGHTS = SignalWeights()


def clamp(score: float) -> float:
    """The score, kept within [0, 1]."""
    return min(1.0, max(0.0, score))


@dataclass(frozen=True, slots=True)
class ProxyFact:
    """One fact of a first run, whether it was so, and what it adds."""

    name: str
    holds: bool
    adjustment: float


def proxy_facts(signals: ProxySignals, weights: ProxyWeights = DEFAULT_PROXY_WEIGHTS) -> tuple[ProxyFact, ...]:
    """What a first run showed, and what each of it is worth."""
    facts = (
        ("parses", not signals.syntax_error, weights.parses),
        ("runs", signals.execution_success, weights.runs),
        ("approved", signals.user_approved, weights.approved),
    )
    return tuple(ProxyFact(name, holds, weight if holds else 0.0) for name, holds, weight in facts)


def proxy_score(signals: ProxySignals, weights: ProxyWeights = DEFAULT_PROXY_WEIGHTS) -> float:
    """Score a first run, in [0, 1]: no syntax error, execution success, approved by the user."""
    return clamp(total(fact.adjustment for fact in proxy_facts(signals, weights)))


def adjustment(signal: ExternalSignal, weights: SignalWeights = DEFAULT_SIGNAL_WEIGHTS) -> float:
    """What a signal adds to a score."""
    match signal.kind:
        case SignalKind.INVOICE_CREATED:
            return weights.invoice_created
        case SignalKind.CRM_CONVERSION:
            return weights.crm_conversion
        case SignalKind.CONVERSION_SUCCESS:
            return weights.conversion_success
        case SignalKind.CONVERSION_VALUE:
            return min(weights.value_at_most, signal.value / weights.value_per_point)
        case SignalKind.EMAIL_BOUNCE:
            return weights.email_bounce
        case SignalKind.ERROR_SIGNAL:
            return weights.error_signal


def total(adjustments: Iterable[float]) -> float:
    """Their sum: exact, and rounded once."""
    return math.fsum(adjustments)


def total_score(proxy: float, adjustments: Iterable[float]) -> float:
    """The score of a variant, in [0, 1]."""
    return clamp(total((proxy, *adjustments)))
