"""What a run shows, and what an agent's permissions make of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autodev_learning.evolution.canary import wrong_value
from autodev_learning.evolution.mutations import (
    experiment_key,
    experiment_of,
    experiment_prefix,
    opportunity_key,
    request_key,
    tool_id,
    version_of,
)
from autodev_learning.evolution.opportunities import SkillRun, Start, Trigger, TriggerLimits, start_for, triggers_of
from autodev_learning.examples import Example
from autodev_learning.peers.capabilities import Denial, Permission

LIMITS = TriggerLimits()


def run(
    seconds: float = 1.0, tokens: int = 0, success: bool = True, call: str = "", output: str = "", expected: str = ""
) -> SkillRun:
    return SkillRun("run", "agent", "skill", "1.0.0", seconds, tokens, success, output, call, expected)


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (run(), ()),
        (run(seconds=5.0, tokens=5000), ()),
        (run(seconds=5.001), (Trigger.LATENCY,)),
        (run(tokens=5001), (Trigger.TOKENS,)),
        (run(success=False), (Trigger.FAILURE,)),
        (run(9.0, 9000, success=False), (Trigger.LATENCY, Trigger.TOKENS, Trigger.FAILURE)),
    ],
)
def test_a_run_above_a_limit_shows_it(shown: SkillRun, expected: tuple[Trigger, ...]) -> None:
    assert triggers_of(shown, LIMITS) == expected


@given(st.floats(0, 86400), st.integers(0, 10**12), st.booleans())
def test_more_of_anything_never_shows_less(seconds: float, tokens: int, success: bool) -> None:
    shown = set(triggers_of(run(seconds, tokens, success=success), LIMITS))
    worse = set(triggers_of(run(seconds + 1, tokens + 1, success=False), LIMITS))
    assert shown <= worse


def permission(denial: Denial | None) -> Permission:
    return Permission(denial, "")


@pytest.mark.parametrize(
    ("evolver", "background", "expected"),
    [
        (None, None, Start.BY_ITSELF),
        (None, Denial.MATURITY, Start.WAITS),
        (None, Denial.DISABLED, Start.WAITS),
        (Denial.LIMIT, None, Start.LIMITED),
        (Denial.LIMIT, Denial.MATURITY, Start.WAITS),
        (Denial.MATURITY, Denial.MATURITY, Start.NOTHING),
        (Denial.DISABLED, Denial.DISABLED, Start.NOTHING),
        (Denial.DISABLED, None, Start.NOTHING),
        (Denial.UNKNOWN_CAPABILITY, None, Start.NOTHING),
    ],
)
def test_gates(evolver: Denial | None, background: Denial | None, expected: Start) -> None:
    assert start_for(permission(evolver), permission(background)) is expected


EXAMPLES = (Example("f(1)", "2"), Example("f('x')", "['a']"))


@pytest.mark.parametrize(
    ("seen", "is_fault"),
    [
        (run(), False),
        (run(success=False, call="f(1)", output="ValueError: no"), False),
        (run(success=False, call="f(1)", output="3"), False),
        (run(call="f(1)", output="2"), False),
        (run(call="f(1)", output="3"), True),
        (run(call="f(1)", output="cut off in the mid"), False),
        (run(call="f(9)", output="3"), False),
        (run(call="f(9)", output="3", expected="4"), True),
        (run(call="f('x')", output="['a']"), False),
    ],
)
def test_a_run_on_trial_is_wrong_when_it_gives_what_is_known_to_be_wrong(seen: SkillRun, is_fault: bool) -> None:
    assert bool(wrong_value(seen, EXAMPLES)) is is_fault


@given(st.text(), st.integers(0))
def test_a_mutations_key_says_which_experiment_made_it(id: str, iteration: int) -> None:
    key = experiment_key(id, iteration)
    assert key.startswith(experiment_prefix(id))
    assert experiment_of(key) == id
    assert experiment_of(request_key(key)) == experiment_of(opportunity_key(id)) == ""


@given(st.text(), st.text(), st.integers(0))
def test_what_one_key_is_made_of_makes_no_other(id: str, other: str, iteration: int) -> None:
    keys = {request_key(id), opportunity_key(id), experiment_key(id, iteration)}
    assert len(keys) == 3
    others = {request_key(other), opportunity_key(other), experiment_key(other, iteration)}
    assert keys == others if id == other else not keys & others


@given(st.text(), st.integers(0), st.integers(0))
def test_a_version_is_found_in_the_id_of_its_tool(skill_id: str, major: int, minor: int) -> None:
    assert version_of(tool_id(skill_id, f"{major}.{minor}.0")) == f"{major}.{minor}.0"
