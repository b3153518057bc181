"""What every test shares."""

import os

import pytest

REQUIRE_ALL = os.environ.get("AUTODEV_REQUIRE_ALL") == "1"


def require(condition: object, reason: str) -> None:
    """Go on only where the environment has a part; else skip, with the reason.

    With AUTODEV_REQUIRE_ALL=1, which CI sets, a missing part is a failure: nothing is skipped there.
    """
    if condition:
        return
    if REQUIRE_ALL:
        pytest.fail(f"AUTODEV_REQUIRE_ALL=1, and {reason}")
    pytest.skip(reason)
