"""Ending tasks."""

import asyncio
from typing import Any

AGAIN_S = 10.0
"""Longer than tasks take to clean up after themselves, which must not be broken off."""


async def ended(*tasks: "asyncio.Future[Any]") -> None:
    """Cancel tasks and wait until none is left, whatever they end by.

    Those that go on for long are cancelled again: before Python 3.12 `asyncio.wait_for`, by which libraries wait, can
    take an answer that comes with a cancellation for all there is (python/cpython#86296).
    """
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        done, left = await asyncio.wait(left, timeout=AGAIN_S)
        # What a task failed by is its own, and no longer of interest.
        await asyncio.gather(*done, return_exceptions=True)
