"""Work that a signal ends: it is cancelled, and so puts away and puts back what it began."""

import asyncio
import signal
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from autodev_cli.errors import Told

T = TypeVar("T")


def finished(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` to its end, and give its result. Raises Told where a signal asked to end, which cancelled it."""

    async def main() -> T:
        task = asyncio.ensure_future(work)
        told: signal.Signals | None = None

        def end(number: signal.Signals) -> None:
            nonlocal told
            # Once: a second request must not interrupt what the first one began to put away.
            if told is None:
                told = number
                task.cancel()

        for number in _heard():
            asyncio.get_running_loop().add_signal_handler(number, end, number)
        try:
            return await task
        except asyncio.CancelledError:
            if told is None:
                raise
            raise Told(told) from None

    return asyncio.run(main())


def until_told(work: Coroutine[Any, Any, T]) -> T | None:
    """The same for work that goes on until a signal asks to end, and then gives None."""
    with suppress(Told):
        return finished(work)
    return None


def _heard() -> tuple[signal.Signals, ...]:
    # `nohup` has the terminal's end ignored, and that is to stay so.
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return (signal.SIGINT, signal.SIGTERM, *(() if ignored else (signal.SIGHUP,)))
