"""Work that a service does by itself, again and again."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from autodev_runtime.errors import Unavailable

log = logging.getLogger(__name__)


async def periodically(work: Callable[[], Awaitable[object]], period_s: float, waits: str) -> None:
    """Do the work now, and again so long after it was done, for ever.

    Where what it needs is away, that is said (`waits`: what has to wait), and it is done the next time.
    """
    while True:
        try:
            await work()
        except Unavailable as error:
            log.warning("%s: %s", waits, error)
        await asyncio.sleep(period_s)
