"""Keys that operators make: what rotation keeps, and how they end."""

from dataclasses import replace
from datetime import timedelta

import pytest

from autodev_gateway.identity.issued_key import Grant, IssuedKey, issue, revoke, rotate
from autodev_runtime.errors import FailedPrecondition
from autodev_runtime.identity import Role

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
MINUTE_US, HOUR_US = 60_000_000, 3_600_000_000
NARROW = Grant("bob", frozenset({Role.REVIEWER}), read_only=True, description="reports", lifetime=MINUTE)


def made(grant: Grant = NARROW) -> IssuedKey:
    return issue("acme", grant, "ada", 3).key


def test_a_rotated_key_may_no_more_than_the_one_whose_place_it_takes() -> None:
    old = made()
    _, fresh = rotate(old, HOUR, "olga", 5)
    key = fresh.key
    assert (key.tenant, key.subject, key.roles, key.read_only) == (old.tenant, old.subject, old.roles, True)
    assert (key.description, key.created_by, key.expires_us) == ("reports", "olga", 5 + MINUTE_US)
    assert key.sha256 != old.sha256


def test_an_overlap_ends_a_key_and_lengthens_the_life_of_none() -> None:
    for_ever, short = made(replace(NARROW, lifetime=None)), made()
    assert rotate(for_ever, HOUR, "olga", 5)[0].expires_us == 5 + HOUR_US
    assert rotate(short, HOUR, "olga", 5)[0].expires_us == 3 + MINUTE_US


@pytest.mark.parametrize(
    ("old", "reason"),
    [
        (revoke(made(), 1), "KEY_ENDED"),
        (replace(made(), expires_us=5), "KEY_ENDED"),
        (rotate(made(), HOUR, "olga", 1)[0], "KEY_ROTATED"),
    ],
)
def test_a_key_that_ended_or_was_rotated_is_not_rotated(old: IssuedKey, reason: str) -> None:
    with pytest.raises(FailedPrecondition) as told:
        rotate(old, HOUR, "olga", 5)
    assert told.value.reason == reason


def test_a_revoked_key_stays_as_it_was_revoked() -> None:
    assert revoke(revoke(made(), 1), 2).revoked_us == 1
