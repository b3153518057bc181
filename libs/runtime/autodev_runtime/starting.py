"""How a service's process runs, and what its operator is told where it cannot start."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from autodev_runtime.errors import Unavailable

WRONG_SETTINGS = 2
"""The exit status of a service that was given settings with which it cannot start."""


class CannotStart(ValueError):
    """What the service was given cannot be used. The text says what and why, and shows nothing secret."""


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a service to its end. What its operator has to mend ends it with one line, not with a traceback."""
    try:
        asyncio.run(main())
    except CannotStart as error:
        print(error, file=sys.stderr)
        sys.exit(WRONG_SETTINGS)
    except Unavailable as error:
        print(f"{error.reason}: {error.__cause__ or error}", file=sys.stderr)
        sys.exit(1)
