"""Waiting out outages."""

import pytest

from autodev_learning.peers.patience import is_outage, patiently
from autodev_runtime.errors import (
    AutoDevError,
    DeadlineExceeded,
    FailedPrecondition,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Unavailable,
)


class Flaky:
    """Raises each of the errors in turn, then answers."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    async def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (Unavailable("away"), True),
        (DeadlineExceeded(), True),
        (ResourceExhausted("full", reason="QUEUE_FULL"), True),
        (FailedPrecondition("none", reason="ISOLATION_UNAVAILABLE"), True),
        (ResourceExhausted("Sent message larger than max", reason="RESOURCE_EXHAUSTED"), False),
        (ResourceExhausted("met", reason="QUOTA_EXCEEDED"), False),
        (FailedPrecondition("no", reason="NOT_APPROVED"), False),
        (PermissionDenied("no", reason="MATURITY_TOO_LOW"), False),
        (NotFound("episode", "x"), False),
    ],
)
def test_an_outage_is_what_may_pass_by_itself(error: AutoDevError, expected: bool) -> None:
    assert is_outage(error) is expected


async def test_work_goes_on_after_outages() -> None:
    work = Flaky(Unavailable("away"), Unavailable("away"))
    assert await patiently(work, 5.0) == "done"
    assert work.calls == 3


async def test_patience_ends_with_the_last_outage() -> None:
    work = Flaky(*[Unavailable("away")] * 1000)
    with pytest.raises(Unavailable):
        await patiently(work, 0.15)
    assert work.calls == 2


async def test_what_is_no_outage_is_not_tried_again() -> None:
    work = Flaky(NotFound("episode", "x"))
    with pytest.raises(NotFound):
        await patiently(work, 5.0)
    assert work.calls == 1
