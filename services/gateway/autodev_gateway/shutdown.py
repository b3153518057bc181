"""What a shutdown must not break off."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from autodev_sdk.ending import Patience

Answer = TypeVar("Answer")


async def to_the_end(work: Coroutine[Any, Any, Answer], patience: Patience | None = None) -> Answer:
    """Do the work to its end, also when the caller is cancelled meanwhile: a transaction is not left half told.

    Work without a bound of its own is given up with the patience, which begins then.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        if patience is not None:
            patience.begin()
        await asyncio.wait([task], timeout=None if patience is None else patience.left_s())
        task.cancel()
        raise
