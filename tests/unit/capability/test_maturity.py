"""How trust is earned and lost."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autodev_capability.gates import ALPHA_EVOLVER, MEMENTO_SKILLS
from autodev_capability.maturity import (
    Agent,
    GraduationRules,
    Maturity,
    Progress,
    approved_work,
    level_set,
    level_taken_back,
    refuted_success,
    refuted_verified_success,
    self_reported_success,
    verified_success,
)

RULES = GraduationRules()
STUDENT, INTERN, SUPERVISED, AUTONOMOUS = Maturity


ADA = Agent("ada")


def after_successes(count: int, agent: Agent = ADA) -> Agent:
    for _ in range(count):
        agent = verified_success(agent, RULES)
    return agent


@pytest.mark.parametrize(
    ("successes", "level"),
    [(0, STUDENT), (4, STUDENT), (5, INTERN), (19, INTERN), (20, SUPERVISED), (49, SUPERVISED), (50, AUTONOMOUS)],
)
def test_verified_successes_earn_the_agent_wide_level(successes: int, level: Maturity) -> None:
    agent = after_successes(successes)
    assert (agent.progress.level, agent.verified_successes) == (level, successes)


def test_self_reported_successes_are_kept_and_count_for_nothing() -> None:
    agent = Agent("ada")
    for _ in range(100):
        agent = self_reported_success(agent)
    assert (agent.progress, agent.self_reported_successes, agent.verified_successes) == (Progress(), 100, 0)


def test_a_refuted_success_costs_one_level_and_the_credit_in_it() -> None:
    demoted = refuted_success(after_successes(22), RULES)
    assert demoted.progress == Progress(INTERN, credit=5)
    assert after_successes(14, demoted).progress.level is INTERN
    assert after_successes(15, demoted).progress.level is SUPERVISED


def test_a_student_loses_its_credit() -> None:
    assert refuted_success(after_successes(4), RULES).progress == Progress(STUDENT, credit=0)


def test_a_level_is_lost_only_at_the_number_of_refutations_that_is_set() -> None:
    rules = GraduationRules(refutations_to_demote=3)
    twice = refuted_success(refuted_success(after_successes(5), rules), rules)
    assert twice.progress.level is INTERN
    thrice = refuted_success(twice, rules)
    assert thrice.progress == Progress(STUDENT)
    assert refuted_success(after_successes(5, thrice), rules).progress.level is INTERN


def test_a_verified_success_that_is_refuted_counts_no_more() -> None:
    rules = GraduationRules(refutations_to_demote=2)
    refuted = refuted_verified_success(after_successes(7), rules)
    assert (refuted.verified_successes, refuted.progress) == (6, Progress(INTERN, credit=6, refutations=1))
    assert refuted_verified_success(refuted, rules).progress == Progress(STUDENT)


def test_what_a_level_takes_is_lost_with_the_level_alone() -> None:
    rules = GraduationRules(intern=100, supervised=200, autonomous=300, refutations_to_demote=2)
    for agent in (level_set(after_successes(9), "", SUPERVISED, RULES), after_successes(5)):
        assert refuted_verified_success(agent, rules).progress == replace(agent.progress, refutations=1)


def test_an_agent_that_was_put_back_does_not_spring_up_at_its_next_success() -> None:
    put_back = level_set(after_successes(60), "", STUDENT, RULES)
    assert after_successes(4, put_back).progress.level is STUDENT
    assert after_successes(5, put_back).progress.level is INTERN
    assert after_successes(5, put_back).verified_successes == 65


def test_an_agent_that_was_put_forward_keeps_its_level_and_earns_the_next() -> None:
    put_forward = level_set(Agent("ada"), "", SUPERVISED, RULES)
    assert after_successes(29, put_forward).progress.level is SUPERVISED
    assert after_successes(30, put_forward).progress.level is AUTONOMOUS


def test_setting_the_level_an_agent_has_keeps_its_credit() -> None:
    agent = after_successes(18)
    assert level_set(agent, "", INTERN, RULES) == agent


def test_approvals_count_for_their_capability_alone() -> None:
    agent = Agent("ada")
    for _ in range(5):
        agent = approved_work(agent, MEMENTO_SKILLS, RULES)
    assert agent.level_for(MEMENTO_SKILLS) is INTERN
    assert agent.level_for(ALPHA_EVOLVER) is agent.progress.level is STUDENT
    assert agent.capabilities[MEMENTO_SKILLS].verified_successes == 5


def test_what_was_earned_for_a_capability_never_holds_an_agent_back() -> None:
    agent = after_successes(20, approved_work(Agent("ada"), MEMENTO_SKILLS, RULES))
    assert agent.level_for(MEMENTO_SKILLS) is SUPERVISED


def test_a_level_that_an_operator_set_for_a_capability_holds_whatever_the_agent_wide_one_is() -> None:
    agent = level_set(after_successes(50), ALPHA_EVOLVER, STUDENT, RULES)
    assert agent.level_for(ALPHA_EVOLVER) is STUDENT
    assert agent.level_for(MEMENTO_SKILLS) is AUTONOMOUS
    assert after_successes(1, agent).level_for(ALPHA_EVOLVER) is STUDENT


def test_a_level_for_a_capability_that_is_taken_back_leaves_what_the_agent_and_approvals_earned() -> None:
    agent = after_successes(20)
    for _ in range(5):
        agent = approved_work(agent, MEMENTO_SKILLS, RULES)
    for level in Maturity:
        agent = level_set(level_set(agent, ALPHA_EVOLVER, level, RULES), MEMENTO_SKILLS, level, RULES)
        assert agent.level_for(ALPHA_EVOLVER) is agent.level_for(MEMENTO_SKILLS) is level
        agent = level_taken_back(level_taken_back(agent, ALPHA_EVOLVER, RULES), MEMENTO_SKILLS, RULES)
        assert agent.level_for(ALPHA_EVOLVER) is agent.level_for(MEMENTO_SKILLS) is SUPERVISED
    student = level_set(agent, "", STUDENT, RULES)
    assert (student.level_for(ALPHA_EVOLVER), student.level_for(MEMENTO_SKILLS)) == (STUDENT, INTERN)


def test_what_was_not_set_is_not_taken_back() -> None:
    agent = approved_work(Agent("ada"), MEMENTO_SKILLS, GraduationRules(intern=1))
    for capability in ("", MEMENTO_SKILLS, ALPHA_EVOLVER):
        assert level_taken_back(agent, capability, RULES) == agent


def test_raised_thresholds_take_no_level_back() -> None:
    agent = verified_success(after_successes(5), GraduationRules(intern=100, supervised=200, autonomous=300))
    assert agent.progress.level is INTERN


STEPS = st.lists(st.sampled_from(["success", "refute", "refute verified", *Maturity]), max_size=120)


def after_step(agent: Agent, step: str | Maturity, rules: GraduationRules = RULES) -> Agent:
    if isinstance(step, Maturity):
        return level_set(agent, "", step, rules)
    steps = {"success": verified_success, "refute": refuted_success, "refute verified": refuted_verified_success}
    return steps[step](agent, rules)


@given(STEPS)
def test_the_level_is_always_the_one_its_credit_earns(steps: list[str | Maturity]) -> None:
    agent = Agent("ada")
    for step in steps:
        agent = after_step(agent, step)
        assert agent.progress.level is RULES.level_for(agent.progress.credit)


@given(STEPS)
def test_one_step_raises_a_level_by_one_at_most_unless_an_operator_does(steps: list[str | Maturity]) -> None:
    agent = Agent("ada")
    for step in steps:
        before = agent.progress.level
        agent = after_step(agent, step)
        if isinstance(step, Maturity):
            assert agent.progress.level is step
        else:
            assert abs(agent.progress.level - before) <= 1
