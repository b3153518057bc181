"""Forgetting episodes and runs of skills that came longer ago than they are to be kept."""

from datetime import datetime, timedelta

from autodev_learning.store.past import Past
from autodev_sdk.events import first_uuid7

PERIOD_S = 3600.0


async def forget_old(past: Past, keep_days: int, now: datetime) -> None:
    """Forget what came more than so many days ago, and is not needed (`Past`). Raises Unavailable."""
    before = first_uuid7(now - timedelta(days=keep_days))
    while await past.forget_runs(before):
        pass
    after = ""
    while doomed := await past.doomed(after, before):
        await past.forget(doomed)
        after = doomed[-1].id
