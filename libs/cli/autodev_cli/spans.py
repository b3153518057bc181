"""Spans of time as people write them: 30s, 10m, 2h, 90d."""

import re
from datetime import timedelta

from autodev_cli.errors import UsageError

MOST = timedelta(days=36_500)
"""About what a date, and the contracts, have room for; nobody waits for more."""

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def span_of(text: str) -> timedelta | None:
    """The span that a text is; None where it is none, or longer than MOST."""
    found = re.fullmatch(r"(\d{1,9})([smhd])", text)
    span = timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else None
    return span if span is not None and span <= MOST else None


def span_given(option: str, text: str) -> timedelta:
    """The span that an option says. Raises UsageError."""
    span = span_of(text)
    if span is None:
        raise UsageError(f"{option} {text}: give a span: 30s, 10m, 2h, 90d; {MOST.days}d at most")
    return span
