"""Who is granted a use, of what is asked together."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from autodev_capability.gates import MEMENTO_SKILLS, Limit, WorkspaceSettings, built_in_gate
from autodev_capability.granting import Admitted, Count, Granting, Use, Wish, admission
from autodev_capability.maturity import Agent, Maturity, Progress
from autodev_capability.quota import CounterKey, Reservation
from autodev_runtime.errors import PermissionDenied, ResourceExhausted
from tests.clock import Clock

NOW = Clock()()
HOLD = timedelta(minutes=10)
ADA = Use("ada", MEMENTO_SKILLS)
COUNTER = CounterKey(MEMENTO_SKILLS, "ada", "2025-11-24")


def wish(request: int) -> Wish:
    return Wish(f"r{request}", ADA, HOLD)


@given(taken=st.integers(0, 6), limit=st.integers(0, 5), requests=st.lists(st.integers(0, 8), max_size=20))
def test_together_they_get_what_is_left_in_the_order_of_their_asking(
    taken: int, limit: int, requests: list[int]
) -> None:
    granting = Granting({COUNTER: Count(taken)}, {}, NOW)
    outcomes = [granting.grant(wish(each), Admitted(COUNTER, Limit(limit))) for each in requests]
    expected = list(dict.fromkeys(requests))[: max(0, limit - taken)]
    granted = {each.request_id: each for each in outcomes if isinstance(each, Reservation)}
    assert list(granted) == [f"r{each}" for each in expected]
    assert [each.used for each in granting.added] == list(range(taken + 1, taken + 1 + len(expected)))
    assert granting.counts[COUNTER].granted == taken + len(expected)
    for request, outcome in zip(requests, outcomes, strict=True):
        assert isinstance(outcome, Reservation) == (request in expected)
    # Refusals are announced once, however many there are.
    assert len(granting.notices) == any(isinstance(each, ResourceExhausted) for each in outcomes)


def test_a_request_that_lapsed_is_granted_anew_under_its_id() -> None:
    first = Granting({COUNTER: Count()}, {}, NOW)
    held = first.grant(wish(1), Admitted(COUNTER, None))
    assert isinstance(held, Reservation)
    later = NOW + HOLD
    today = COUNTER._replace(day="2025-11-25")
    again = Granting({COUNTER: Count(), today: Count()}, {"r1": held}, later)
    renewed = again.grant(wish(1), Admitted(today, None))
    assert isinstance(renewed, Reservation)
    assert (renewed.id, renewed.expires_at, renewed.counter) == (held.id, later + HOLD, today)
    assert (again.added, again.renewed) == ([], [renewed])
    assert (again.counts[COUNTER].granted, again.counts[today].granted) == (0, 1)


def test_what_is_held_is_given_whoever_may_no_longer() -> None:
    granting = Granting({COUNTER: Count()}, {}, NOW)
    held = granting.grant(wish(1), Admitted(COUNTER, None))
    assert granting.grant(wish(1), PermissionDenied("no", reason="MATURITY_TOO_LOW")) is held


def test_gates_refuse_whatever_is_left() -> None:
    gate, on = built_in_gate(MEMENTO_SKILLS), WorkspaceSettings(enabled=True)
    student, intern = Agent("ada"), Agent("ada", Progress(Maturity.INTERN))
    reasons = {}
    for name, refused in {
        "UNKNOWN_CAPABILITY": admission(ADA, None, on, intern, NOW),
        "CAPABILITY_DISABLED": admission(ADA, gate, WorkspaceSettings(), intern, NOW),
        "MATURITY_TOO_LOW": admission(ADA, gate, on, student, NOW),
    }.items():
        assert isinstance(refused, PermissionDenied)
        reasons[name] = refused.reason
    assert list(reasons) == list(reasons.values())
    assert admission(ADA, gate, on, intern, NOW) == Admitted(COUNTER, Limit(5))
