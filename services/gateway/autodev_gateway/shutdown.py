"""What a shutdown must not break off."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Answer = TypeVar("Answer")


async def to_the_end(work: Coroutine[Any, Any, Answer]) -> Answer:
    """Do the work to its end, also when the caller is cancelled meanwhile: a transaction is not left half told."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
