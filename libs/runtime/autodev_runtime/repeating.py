"""Transactions that meet: the database undoes one of them, and it is done again from its start."""

import asyncio
import functools
import random
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

from prometheus_client import Counter

from autodev_runtime.errors import Unavailable

ATTEMPTS = 6
FIRST_WAIT_S = 0.01

REPEATED = Counter("autodev_transactions_repeated_total", "Transactions done again because they met another")

Given = ParamSpec("Given")
Result = TypeVar("Result")


class Conflict(Unavailable):
    """The transaction met another one, and is undone. Doing the same again may well succeed."""

    def __init__(self, message: str, *, reason: str = "DATABASE_CONFLICT") -> None:
        super().__init__(message, reason=reason)


def repeatable(work: Callable[Given, Awaitable[Result]]) -> Callable[Given, Awaitable[Result]]:
    """Do the work again where it meets a conflict (serialization failure, deadlock), a few times, after a short wait.

    For functions that do one transaction and nothing else that lasts, so that an undone one leaves no trace. Raises
    the Conflict, which callers see as UNAVAILABLE, when it does not end.
    """

    @functools.wraps(work)
    async def done(*args: Given.args, **kwargs: Given.kwargs) -> Result:
        for attempt in range(ATTEMPTS - 1):
            try:
                return await work(*args, **kwargs)
            except Conflict:
                REPEATED.inc()
                # Who met once must not meet again because both waited equally long.
                await asyncio.sleep(random.uniform(0.5, 1.5) * FIRST_WAIT_S * 2**attempt)
        return await work(*args, **kwargs)

    return done
