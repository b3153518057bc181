"""Where work is done by its size: what is large takes long, and others are served meanwhile."""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

LARGE_BYTES = 64 * 1024

Arguments = ParamSpec("Arguments")
Made = TypeVar("Made")


async def by_size(
    size_bytes: int, work: Callable[Arguments, Made], *args: Arguments.args, **kwargs: Arguments.kwargs
) -> Made:
    """What the work makes of that many bytes: at once, or of many in a thread."""
    if size_bytes > LARGE_BYTES:
        return await asyncio.to_thread(work, *args, **kwargs)
    return work(*args, **kwargs)
