"""Forgetting what is known of days long past: reservations, and which events were counted, so that neither is twice."""

from datetime import datetime, timedelta

from autodev_capability.gates import day_of
from autodev_capability.store.past_days import PastDays

PERIOD_S = 3600.0


def oldest_kept(now: datetime, keep_days: int) -> str:
    """The first day of which everything is known still."""
    return day_of(now - timedelta(days=keep_days))


async def forget_old(days: PastDays, keep_days: int, now: datetime) -> None:
    """Forget what is left of days that were more than so many days ago. Raises Unavailable."""
    before = oldest_kept(now, keep_days)
    while await days.forget(before):
        pass
