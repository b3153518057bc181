"""How a service's process runs, and what its operator is told where it cannot start."""

import asyncio
import gc
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from autodev_runtime.errors import Unavailable

WRONG_SETTINGS = 2
"""The exit status of a service that was given settings with which it cannot start."""
TOLD_TO_STOP = 128 + signal.SIGTERM
"""The exit status of a service that was told to stop before it served."""

COLLECT_AFTER = (20_000, 20, 50)


class CannotStart(ValueError):
    """What the service was given cannot be used. The text says what and why, and shows nothing secret."""


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a service to its end. What its operator has to mend ends it with one line, not with a traceback."""
    _collect_seldom()
    try:
        asyncio.run(_unless_told_to_stop(main))
    except asyncio.CancelledError:
        sys.exit(TOLD_TO_STOP)
    except CannotStart as error:
        print(error, file=sys.stderr)
        sys.exit(WRONG_SETTINGS)
    except Unavailable as error:
        print(f"{error.reason}: {error.__cause__ or error}", file=sys.stderr)
        sys.exit(1)


def _collect_seldom() -> None:
    """Look for cycles after many allocations only: calls make hardly any, and looking took a tenth of all time."""
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


async def _unless_told_to_stop(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """A service handles SIGTERM itself once it serves. Before, it would be lost on the first process of a container."""
    starting = asyncio.ensure_future(main())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, starting.cancel)
    await starting
