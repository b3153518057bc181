"""Who is granted a use of a capability: what is asked together is decided in order, from one reading."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from autodev_capability.gates import (
    Decision,
    Denial,
    Gate,
    Limit,
    WorkspaceSettings,
    decide,
    limit_of,
    next_day,
    unknown,
)
from autodev_capability.maturity import Agent
from autodev_capability.notices import QuotaMet
from autodev_capability.quota import CounterKey, Reservation, ReservationState, counter_for
from autodev_runtime.errors import AutoDevError, PermissionDenied, ResourceExhausted
from autodev_runtime.request_ids import reused
from autodev_runtime.tracing import TraceContext
from autodev_sdk.events import uuid7


class Use(NamedTuple):
    """Which agent is to use what. Whether it may is the same for all who ask at once."""

    agent_id: str
    capability: str


@dataclass(frozen=True, slots=True)
class Wish:
    """A call for one use."""

    request_id: str
    use: Use
    hold_for: timedelta
    trace: TraceContext | None = None
    """The call's, which what it leads to is part of."""
    formerly: str = ""
    """By which id an earlier release kept the request."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """A gate lets a wish pass: what it counts for, and the limit of that."""

    counter: CounterKey
    limit: Limit | None


Admission = Admitted | PermissionDenied


@dataclass(frozen=True, slots=True)
class Count:
    """A day's uses that stand, and of which limit it was announced that they are all taken."""

    granted: int = 0
    announced: int | None = None


def admission(use: Use, gate: Gate | None, settings: WorkspaceSettings, agent: Agent, now: datetime) -> Admission:
    """Whether the workspace and the agent's level allow it, whatever is left of the limit."""
    if gate is None:
        return _denied(unknown(use.capability, agent))
    decision = decide(gate, settings, agent, 0, now)
    if decision.denial not in (None, Denial.LIMIT):
        return _denied(decision)
    limit = limit_of(gate, settings)
    return Admitted(counter_for(use.capability, use.agent_id, limit, now), limit)


class Granting:
    """Grants wishes one after the other: of each counter no more than its limit."""

    def __init__(self, counts: Mapping[CounterKey, Count], earlier: Mapping[str, Reservation], now: datetime) -> None:
        """`earlier` are the reservations, by request, that the wishes' requests made before."""
        self.counts = dict(counts)
        """What stands after the grants."""
        self.added: list[Reservation] = []
        self.renewed: list[Reservation] = []
        """Reservations that lapsed and are granted anew."""
        self.notices: dict[Wish, QuotaMet] = {}
        """What is to be announced, with what led to it."""
        self._held = dict(earlier)
        self._now = now

    def grant(self, wish: Wish, admission: Admission | None) -> Reservation | AutoDevError:
        """One use, or why not. What a request holds is its only one, whatever its admission (None: nobody asked)."""
        earlier = self._held.get(wish.request_id)
        if earlier is not None and not earlier.has_lapsed(self._now):
            return earlier if Use(earlier.agent_id, earlier.counter.capability) == wish.use else reused()
        if not isinstance(admission, Admitted):
            assert admission is not None
            return admission
        count, limit = self.counts[admission.counter], admission.limit
        if limit is not None and count.granted >= limit.per_day:
            return self._limit_met(wish, admission.counter, limit)
        count = self.counts[admission.counter] = Count(count.granted + 1, count.announced)
        made = Reservation(
            id=earlier.id if earlier is not None else uuid7(),
            request_id=wish.request_id,
            agent_id=wish.use.agent_id,
            counter=admission.counter,
            state=ReservationState.RESERVED,
            expires_at=self._now + wish.hold_for,
            used=count.granted,
            limit=limit.per_day if limit is not None else 0,
        )
        (self.added if earlier is None else self.renewed).append(made)
        self._held[wish.request_id] = made
        return made

    def _limit_met(self, wish: Wish, counter: CounterKey, limit: Limit) -> ResourceExhausted:
        count, resets_at = self.counts[counter], next_day(self._now)
        if count.announced != limit.per_day:
            self.counts[counter] = replace(count, announced=limit.per_day)
            self.notices[wish] = QuotaMet(
                wish.use.agent_id, wish.use.capability, count.granted, limit.per_day, resets_at
            )
        return ResourceExhausted(
            f"{count.granted} of {limit.per_day} uses of {wish.use.capability} a day are taken",
            reason=Denial.LIMIT.value,
            metadata={"used": str(count.granted), "limit": str(limit.per_day), "resets_at": resets_at.isoformat()},
            retry_after=resets_at - self._now,
        )


def _denied(decision: Decision) -> PermissionDenied:
    assert decision.denial is not None
    levels = {"required": decision.required, "current": decision.current}
    return PermissionDenied(
        decision.message,
        reason=decision.denial.value,
        metadata={name: level.name for name, level in levels.items() if level is not None},
    )
