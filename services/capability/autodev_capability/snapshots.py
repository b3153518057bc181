"""Answers of CheckCapability, kept for a moment.

A check costs several queries, and is asked before every piece of background work; from memory it costs about what a
call that does nothing costs. That is safe because a check takes nothing: whoever acts on it reserves next, and a
reservation is always decided in the database. Within a process no answer outlives a change, since every transaction
that writes drops its tenant's answers when it ends. Another replica's change is seen after `keep_for`, at most a
second.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from autodev_capability.gates import Decision

MOST_ANSWERS = 50_000
FEWEST_LOOKED_AT = 1000
"""Fewer answers than this are not looked through for those that hold no more: they take a megabyte."""

Key = tuple[str, str]
"""An agent and a capability."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A decision and when it ends to be true by itself: at the next day, or when a reservation lapses."""

    decision: Decision
    read_at: datetime
    true_until: datetime


class Snapshots:
    """The answers of all tenants. Not shared between processes."""

    def __init__(self, keep_for: timedelta, clock: Callable[[], datetime]) -> None:
        self._keep_for = keep_for
        self._clock = clock
        self._tenants: dict[str, dict[Key, asyncio.Future[Answer]]] = {}
        self._count = 0
        self._look_at = FEWEST_LOOKED_AT

    def __len__(self) -> int:
        """How many answers are in memory."""
        return self._count

    async def get(self, tenant: str, key: Key, read: Callable[[], Awaitable[Answer]]) -> Decision:
        """The answer, read once for all that ask at the same time. Raises what `read` raises."""
        # A reader that is overtaken by a change holds a dictionary that `drop` has let go: its answer is found by
        # those who asked before the change ended, and by nobody after.
        answers = self._tenants.setdefault(tenant, {})
        held = answers.get(key)
        if held is None or (held.done() and not self._holds(held)):
            self._count += key not in answers
            held = answers[key] = asyncio.ensure_future(read())
            self._bound()
        # Shielded: the one who asked first may run out of time; the others still wait for the answer.
        return (held.result() if held.done() else await asyncio.shield(held)).decision

    def drop(self, tenant: str) -> None:
        """Forget a tenant's answers: something changed."""
        self._count -= len(self._tenants.pop(tenant, ()))

    def _holds(self, held: "asyncio.Future[Answer]") -> bool:
        if held.cancelled() or held.exception() is not None:
            return False
        answer = held.result()
        # A clock that was set back makes an answer of the future, which is no longer trusted either.
        return answer.read_at <= self._clock() < min(answer.true_until, answer.read_at + self._keep_for)

    def _bound(self) -> None:
        if self._count > self._look_at:
            self._forget_old()
            # Twice as many, so that looking costs each answer about as much however many there are.
            self._look_at = max(FEWEST_LOOKED_AT, 2 * self._count)
        if self._count > MOST_ANSWERS:
            self._tenants.clear()
            self._count = 0

    def _forget_old(self) -> None:
        """Forget what holds no more: nobody may ask for it again, as of an agent that is gone."""
        for tenant, answers in list(self._tenants.items()):
            for key in [key for key, held in answers.items() if held.done() and not self._holds(held)]:
                del answers[key]
                self._count -= 1
            if not answers:
                del self._tenants[tenant]
