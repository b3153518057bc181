"""Forgetting what is known of days long past: reservations, and which events were counted, so that neither is twice."""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from autodev_capability.gates import day_of
from autodev_capability.store.past_days import PastDays
from autodev_runtime.errors import Unavailable

log = logging.getLogger(__name__)

PERIOD_S = 3600.0


def oldest_kept(now: datetime, keep_days: int) -> str:
    """The first day of which everything is known still."""
    return day_of(now - timedelta(days=keep_days))


async def forget_old(days: PastDays, keep_days: int, now: datetime) -> None:
    """Forget what is left of days that were more than so many days ago. Raises Unavailable."""
    before = oldest_kept(now, keep_days)
    while await days.forget(before):
        pass


async def forgetting(days: PastDays, keep_days: int, clock: Callable[[], datetime]) -> None:
    """Do so again and again, for ever."""
    while True:
        try:
            await forget_old(days, keep_days, clock())
        except Unavailable as error:
            log.warning("what is left of old days is there still: %s", error)
        await asyncio.sleep(PERIOD_S)
