"""What callers are told of a database that is away, busy or full: UNAVAILABLE, whichever database it is."""

import contextlib
import logging
from collections.abc import Callable, Iterator

from sqlalchemy import exc

from autodev_runtime.errors import Unavailable
from autodev_runtime.repeating import Conflict

log = logging.getLogger(__name__)

AWAY = "the database cannot be read or written; the same call, with its request_id if it has one, may be made again"
FULL = "the database's disk is full, and nothing of this was written; the same call may be made again once it has room"
DISK_FULL = "DISK_FULL"
BUSY = "the database is busy; make the same call again in a while"


@contextlib.contextmanager
def away_is_unavailable(meaning: Callable[[exc.DBAPIError], Unavailable | None]) -> Iterator[None]:
    """A database that is away, busy or broken is no fault of the statement; a statement's own fault flies on."""
    try:
        yield
    except exc.TimeoutError as error:
        # No connection of the pool became free.
        raise Unavailable(BUSY, reason="DATABASE_BUSY") from error
    except exc.DBAPIError as error:
        if (told := _logged(meaning(error))) is None:
            raise
        raise told from error
    except ConnectionError as error:
        log.exception("the database failed")
        raise Unavailable(AWAY, reason="DATABASE_UNAVAILABLE") from error


@contextlib.contextmanager
def driver_away_is_unavailable(
    errors: tuple[type[Exception], ...], meaning: Callable[[Exception], Unavailable | None]
) -> Iterator[None]:
    """The same of a driver's own errors."""
    try:
        yield
    except errors as error:
        if (told := _logged(meaning(error))) is None:
            raise
        raise told from error


def _logged(told: Unavailable | None) -> Unavailable | None:
    # A conflict is no failure: whoever asked does the same again.
    if told is not None and not isinstance(told, Conflict):
        log.exception("the database failed")
    return told
