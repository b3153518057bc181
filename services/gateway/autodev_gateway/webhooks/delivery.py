"""Passes kept webhooks on to the fitness service, at least once each, through crashes and outages.

Fitness counts a signal's id once, so a webhook that is passed on twice counts once.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from autodev.fitness.v1 import fitness_service_pb2 as pb
from autodev_gateway import metrics
from autodev_gateway.webhooks.store import Due, Key, ReceiptStore, Settlement, Standing, State
from autodev_runtime.errors import (
    AutoDevError,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    Unavailable,
)
from autodev_runtime.identity import Identity, acting_as, service_identity
from autodev_runtime.tracing import new_trace, parent_in, tracing_as
from autodev_sdk.ending import results_of

log = logging.getLogger(__name__)

AT_ONCE = 32
LEASE_US = 15 * 1_000_000
"""Longer than a call may take. What a killed gateway had taken is taken again after it."""
CALL_TIMEOUT_S = 10.0
POLL_S = 1.0
LOOK_S = 5.0
PRUNE_S = 60.0
WAIT_S = (1.0, 300.0)
"""Before the second try, and the longest between two."""

PassOn = Callable[[pb.EvaluateDelayedWebhookRequest], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Patience:
    """When to give up, and what to keep."""

    give_up_s: float
    """With a fitness service that is away or busy, or refuses the gateway."""
    unknown_variant_s: float
    """With a variant that is not there."""
    keep_s: float
    """For how long settled receipts are kept."""


def identity_of(key: Key) -> Identity:
    """As whom a webhook acts: as the gateway, which has verified its signature."""
    return service_identity("gateway", key.tenant)


def wait_before(attempt: int, luck: float) -> float:
    """Seconds before the next try after so many; `luck` in [0, 1) spreads those that failed together."""
    first, longest = WAIT_S
    return min(longest, first * 2.0 ** min(attempt - 1, 30)) * (0.75 + luck / 2)


class Delivery:
    """Passes on what is due, beside the server."""

    def __init__(self, store: ReceiptStore, pass_on: PassOn, patience: Patience) -> None:
        self._store = store
        self._pass_on = pass_on
        self._patience = patience
        self._wake = asyncio.Event()
        self._standing = Standing({}, None, 0)
        # From 0, so that the first is an increase.
        metrics.WEBHOOK_DELIVERIES.labels("dead")
        self._since_looked: dict[tuple[str, str], int] = {}

    def kept(self, key: Key) -> None:
        """Something new waits."""
        whose = (key.tenant, key.source)
        self._since_looked[whose] = self._since_looked.get(whose, 0) + 1
        self._wake.set()

    def waiting(self, tenant: str, source: str) -> int:
        """About how many of a source's webhooks wait."""
        whose = (tenant, source)
        return self._standing.pending.get(whose, 0) + self._since_looked.get(whose, 0)

    async def run(self) -> None:
        """Pass on, for ever."""
        looked_s = pruned_s = float("-inf")
        while True:
            self._wake.clear()
            try:
                full = await self._step()
                if time.monotonic() - looked_s > LOOK_S:
                    looked_s = time.monotonic()
                    await self._look()
                if time.monotonic() - pruned_s > PRUNE_S:
                    pruned_s = time.monotonic()
                    await self._prune()
            except Unavailable as error:
                log.warning("webhooks wait: %s", error)
                await asyncio.sleep(POLL_S)
                continue
            if not full:
                await self._rest()

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(POLL_S):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _step(self) -> bool:
        """Pass on what is due. Returns whether there may be more."""
        due = await self._store.take(_now_us(), LEASE_US, AT_ONCE)
        if due:
            await self._store.settle(await results_of(*(self._try(each) for each in due)))
        return len(due) == AT_ONCE

    async def _try(self, due: Due) -> Settlement:
        # The span that took it in, so that what comes of it is part of that.
        with acting_as(identity_of(due.key)), tracing_as(parent_in(due.traceparent) or new_trace()):
            try:
                async with asyncio.timeout(CALL_TIMEOUT_S):
                    await self._pass_on(pb.EvaluateDelayedWebhookRequest.FromString(due.call))
            except (AutoDevError, TimeoutError) as error:
                return self._failed(due, error)
            except Exception as error:
                log.exception("webhook %s of %s could not be passed on", due.key.webhook_id, due.key.source)
                return self._failed(due, error)
        metrics.WEBHOOK_DELIVERIES.labels("delivered").inc()
        return Settlement(due, State.DELIVERED, _now_us())

    def _failed(self, due: Due, error: Exception) -> Settlement:
        told = f"{error.reason}: {error}" if isinstance(error, AutoDevError) else type(error).__name__
        told = told.replace("\0", "")[:1000]
        waited_s = (_now_us() - due.pending_since_us) / 1_000_000
        if waited_s >= self._patience_with(error):
            metrics.WEBHOOK_DELIVERIES.labels("dead").inc()
            log.error(
                "webhook %s of %s is given up at try %d: %s",
                due.key.webhook_id,
                due.key.source,
                due.attempts + 1,
                told,
            )
            return Settlement(due, State.DEAD, _now_us(), told)
        metrics.WEBHOOK_DELIVERIES.labels("postponed").inc()
        wait_s = wait_before(due.attempts + 1, random.random())
        return Settlement(due, State.PENDING, _now_us() + int(wait_s * 1_000_000), told)

    def _patience_with(self, error: Exception) -> float:
        if isinstance(error, InvalidArgument | FailedPrecondition):
            # Waiting makes no such call right. PermissionDenied is about the gateway: its certificate, or its release.
            return 0.0
        return self._patience.unknown_variant_s if isinstance(error, NotFound) else self._patience.give_up_s

    async def _look(self) -> None:
        self._since_looked.clear()
        self._standing = standing = await self._store.standing()
        metrics.WEBHOOKS_WAITING.set(sum(standing.pending.values()))
        metrics.WEBHOOKS_DEAD.set(standing.dead)
        oldest_us = standing.oldest_us
        metrics.WEBHOOK_LAG.set(max(0.0, (_now_us() - oldest_us) / 1_000_000) if oldest_us is not None else 0.0)

    async def _prune(self) -> None:
        before_us = _now_us() - int(self._patience.keep_s * 1_000_000)
        while await self._store.prune(before_us):
            pass


def _now_us() -> int:
    return time.time_ns() // 1000
