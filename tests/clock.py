"""A clock that a test moves."""

from datetime import UTC, datetime, timedelta


class Clock:
    """Stands still until it is moved."""

    def __init__(self, start: datetime = datetime(2025, 11, 24, 12, tzinfo=UTC)) -> None:
        self.moment = start

    def __call__(self) -> datetime:
        return self.moment

    def advance(self, **duration: float) -> None:
        """Move on: `advance(minutes=5)`."""
        self.moment += timedelta(**duration)
