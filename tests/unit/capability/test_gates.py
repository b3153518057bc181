"""The answer to whether an agent may use a capability."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from autodev_capability.gates import (
    ALPHA_EVOLVER,
    BACKGROUND_EVOLUTION,
    BUILT_IN_GATES,
    MEMENTO_SKILLS,
    Denial,
    Gate,
    Limit,
    WorkspaceSettings,
    built_in_gate,
    day_of,
    decide,
    limit_of,
    next_day,
    unlock_message,
    unlocked,
)
from autodev_capability.maturity import Agent, GraduationRules, Maturity, level_set

NOON = datetime(2025, 11, 24, 12, tzinfo=UTC)
ENABLED = WorkspaceSettings(enabled=True)
RULES = GraduationRules()


def agent_at(level: Maturity) -> Agent:
    return level_set(Agent("ada"), "", level, RULES)


def gate_of(capability: str) -> Gate:
    gate = built_in_gate(capability)
    assert gate is not None
    return gate


@pytest.mark.parametrize(
    ("capability", "required"),
    [
        (MEMENTO_SKILLS, Maturity.INTERN),
        (ALPHA_EVOLVER, Maturity.SUPERVISED),
        (BACKGROUND_EVOLUTION, Maturity.AUTONOMOUS),
    ],
)
@pytest.mark.parametrize("level", Maturity)
def test_a_capability_is_allowed_from_its_level_on(capability: str, required: Maturity, level: Maturity) -> None:
    decision = decide(gate_of(capability), ENABLED, agent_at(level), 0, NOON)
    assert decision.allowed is (level >= required)
    assert decision.denial is (None if level >= required else Denial.MATURITY)
    assert (decision.required, decision.current) == (required, level)


def test_nothing_is_allowed_until_the_workspace_is_enabled() -> None:
    own = Gate("acme.deploy", Maturity.STUDENT)
    for gate in (*BUILT_IN_GATES, own):
        decision = decide(gate, WorkspaceSettings(), agent_at(Maturity.AUTONOMOUS), 0, NOON)
        assert decision.denial is Denial.DISABLED


@pytest.mark.parametrize(
    ("capability", "switch"),
    [
        (MEMENTO_SKILLS, "memento_skills"),
        (ALPHA_EVOLVER, "alpha_evolver"),
        (BACKGROUND_EVOLUTION, "background_evolution"),
    ],
)
def test_each_capability_has_a_switch_of_its_own(capability: str, switch: str) -> None:
    settings = WorkspaceSettings(**{"enabled": True, switch: False})  # type: ignore[arg-type]
    allowed = {
        gate.capability
        for gate in BUILT_IN_GATES
        if decide(gate, settings, agent_at(Maturity.AUTONOMOUS), 0, NOON).allowed
    }
    assert allowed == {MEMENTO_SKILLS, ALPHA_EVOLVER, BACKGROUND_EVOLUTION} - {capability}


def test_the_limit_is_the_last_reason_and_says_when_it_ends() -> None:
    settings = replace(ENABLED, max_skill_candidates_per_day=2)
    below = decide(gate_of(MEMENTO_SKILLS), settings, agent_at(Maturity.INTERN), 1, NOON)
    met = decide(gate_of(MEMENTO_SKILLS), settings, agent_at(Maturity.INTERN), 2, NOON)
    low = decide(gate_of(MEMENTO_SKILLS), settings, agent_at(Maturity.STUDENT), 2, NOON)
    assert (below.denial, met.denial, low.denial) == (None, Denial.LIMIT, Denial.MATURITY)
    assert (met.used, met.limit, met.resets_at) == (2, Limit(2), datetime(2025, 11, 25, tzinfo=UTC))


@pytest.mark.parametrize(("capability", "whose"), [(ALPHA_EVOLVER, "this workspace"), (MEMENTO_SKILLS, "agent ada")])
def test_the_message_says_whose_limit_is_met(capability: str, whose: str) -> None:
    settings = replace(ENABLED, max_mutations_per_day=3, max_skill_candidates_per_day=3)
    decision = decide(gate_of(capability), settings, agent_at(Maturity.AUTONOMOUS), 4, NOON)
    assert decision.message == f"4 of 3 uses of {capability} a day are taken by {whose}"


def test_a_limit_of_zero_allows_nothing() -> None:
    settings = replace(ENABLED, max_mutations_per_day=0)
    assert decide(gate_of(ALPHA_EVOLVER), settings, agent_at(Maturity.SUPERVISED), 0, NOON).denial is Denial.LIMIT


def test_who_shares_a_limit() -> None:
    assert limit_of(gate_of(ALPHA_EVOLVER), ENABLED) == Limit(10, shared_by_tenant=True)
    assert limit_of(gate_of(MEMENTO_SKILLS), ENABLED) == Limit(5)
    assert limit_of(gate_of(BACKGROUND_EVOLUTION), ENABLED) is None
    assert limit_of(Gate("acme.deploy", Maturity.INTERN, limit_per_agent_per_day=3), ENABLED) == Limit(3)
    assert limit_of(Gate("acme.deploy", Maturity.INTERN), ENABLED) is None


def test_days_are_utc_whatever_the_zone_of_a_clock() -> None:
    tokyo = timezone(timedelta(hours=9))
    early = datetime(2025, 11, 25, 8, 59, tzinfo=tokyo)
    assert day_of(early) == "2025-11-24"
    assert day_of(early + timedelta(minutes=1)) == "2025-11-25"
    assert next_day(early) == datetime(2025, 11, 25, tzinfo=UTC)
    assert next_day(datetime(2025, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)) == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("offset_h", [0, 9, -11, 14])
def test_a_day_ends_with_its_last_moment_in_every_zone(offset_h: int) -> None:
    midnight = datetime(2025, 11, 25, tzinfo=UTC).astimezone(timezone(timedelta(hours=offset_h)))
    for before in (timedelta(milliseconds=1), timedelta(microseconds=1)):
        assert day_of(midnight - before) == "2025-11-24"
        assert next_day(midnight - before) == midnight
    assert day_of(midnight) == "2025-11-25"
    assert next_day(midnight) == midnight + timedelta(days=1)


def test_a_step_up_unlocks_each_gate_between_the_levels() -> None:
    own = Gate("acme.deploy", Maturity.SUPERVISED)
    gates = (*BUILT_IN_GATES, own)
    student, supervised = agent_at(Maturity.STUDENT), agent_at(Maturity.SUPERVISED)
    assert {gate.capability for gate in unlocked(student, supervised, gates)} == {
        MEMENTO_SKILLS,
        ALPHA_EVOLVER,
        "acme.deploy",
    }
    assert unlocked(supervised, student, gates) == unlocked(supervised, supervised, gates) == []


def test_the_message_for_the_user_says_who_what_and_why() -> None:
    message = unlock_message(agent_at(Maturity.INTERN), gate_of(MEMENTO_SKILLS), ENABLED)
    assert message == "Good news: agent ada is INTERN now. Auto-Dev may now write skills for what it keeps failing at."


@pytest.mark.parametrize(
    ("settings", "off"),
    [
        (WorkspaceSettings(), "Auto-Dev is off in this workspace: turn on `enabled` in its settings"),
        (replace(ENABLED, memento_skills=False), f"{MEMENTO_SKILLS} is off in this workspace's settings"),
    ],
)
def test_the_message_for_the_user_says_that_a_capability_is_turned_off(settings: WorkspaceSettings, off: str) -> None:
    message = unlock_message(agent_at(Maturity.INTERN), gate_of(MEMENTO_SKILLS), settings)
    assert message == (
        f"Good news: agent ada is INTERN now. Auto-Dev could now write skills for what it keeps failing at, but {off}."
    )
