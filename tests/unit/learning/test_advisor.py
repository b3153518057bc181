"""The advisor's rules, each by its own figures."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autodev_learning.advisor import (
    Figures,
    RiskKind,
    cost_risk,
    failure_rate_risk,
    guidance_for,
    overfit_risk,
    plateau_risk,
)

HEALTHY = Figures(
    executions=40, median_execution_seconds=0.2, mutations=2, passed_mutations=2, promoted_mutations=2, candidates=3
)


def test_what_runs_well_needs_nothing_and_is_ready() -> None:
    guidance = guidance_for(HEALTHY)
    assert (guidance.readiness, guidance.risks) == (100, ())
    assert guidance.text.startswith("Nothing to do")


def test_nothing_known_is_not_ready() -> None:
    guidance = guidance_for(Figures())
    assert guidance.readiness == 0
    assert "0 runs" in guidance.text


@pytest.mark.parametrize(("failed", "is_risk"), [(0, False), (4, False), (5, True), (40, True)])
def test_failing_runs_are_a_risk_above_a_tenth(failed: int, is_risk: bool) -> None:
    risk = failure_rate_risk(Figures(executions=40, failed_executions=failed))
    assert (risk is not None) is is_risk
    if risk is not None:
        assert f"{failed} of 40 runs failed" in risk.detail


def test_failing_rewrites_are_a_risk_too() -> None:
    assert failure_rate_risk(Figures(executions=40, mutations=4, passed_mutations=1)) is not None
    assert failure_rate_risk(Figures(executions=40, mutations=4, passed_mutations=4)) is None


@pytest.mark.parametrize(("fruitless", "is_risk"), [(0, False), (2, False), (3, True), (9, True)])
def test_three_rewrites_in_a_row_without_a_gain_are_a_plateau(fruitless: int, is_risk: bool) -> None:
    assert (plateau_risk(Figures(fruitless_in_a_row=fruitless)) is not None) is is_risk


def test_candidates_that_fit_only_what_was_seen_are_overfit() -> None:
    risk = overfit_risk(Figures(candidates=4, overfit_candidates=1))
    assert risk is not None
    assert (risk.kind, risk.severity) == (RiskKind.OVERFIT, 0.25)
    assert overfit_risk(Figures(candidates=4)) is None


@pytest.mark.parametrize(
    ("figures", "is_risk"),
    [
        (Figures(executions=10, tokens=50_000), False),
        (Figures(executions=10, tokens=60_000), True),
        (Figures(mutations=1, candidates=1, proposal_tokens=120_000), True),
        (Figures(mutations=1, candidates=1, proposal_tokens=90_000), False),
    ],
)
def test_many_tokens_a_run_or_a_proposal_are_dear(figures: Figures, is_risk: bool) -> None:
    assert (cost_risk(figures) is not None) is is_risk


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        (Figures(executions=20, waiting_mutations=1), "1 rewrite that won"),
        (Figures(executions=20, waiting_mutations=2), "2 rewrites that won"),
        (Figures(executions=20, failed_executions=5), "25% of the runs fail"),
        (Figures(executions=20, open_opportunities=2), "2 opportunities"),
        (Figures(executions=20, median_execution_seconds=6.5), "6.5 s"),
        (Figures(executions=20, fruitless_in_a_row=4), "stop rewriting"),
        (Figures(executions=20, candidates=2, overfit_candidates=1), "more examples"),
        (Figures(executions=20, tokens=200_000), "Lower the token use"),
        (Figures(executions=3), "3 runs say little"),
    ],
)
def test_advice_names_its_figures(figures: Figures, words: str) -> None:
    assert words in guidance_for(figures).text


@st.composite
def any_figures(draw: st.DrawFn) -> Figures:
    """Figures that can be: a part is never more than its whole."""

    def count(most: int = 10**6) -> int:
        return draw(st.integers(0, most))

    executions, mutations, candidates = count(), count(), count()
    passed = count(mutations)
    return Figures(
        executions=executions,
        failed_executions=count(executions),
        median_execution_seconds=draw(st.floats(0, 86400)),
        tokens=count(),
        mutations=mutations,
        passed_mutations=passed,
        promoted_mutations=count(passed),
        waiting_mutations=count(passed),
        fruitless_in_a_row=count(mutations),
        candidates=candidates,
        overfit_candidates=count(candidates),
        proposal_tokens=count(),
        open_opportunities=count(),
    )


@given(any_figures())
def test_any_figures_give_bounded_guidance(figures: Figures) -> None:
    guidance = guidance_for(figures)
    assert 0 <= guidance.readiness <= 100
    assert guidance.text
    severities = [risk.severity for risk in guidance.risks]
    assert severities == sorted(severities, reverse=True)
    assert all(0 < severity <= 1 for severity in severities)
    assert len({risk.kind for risk in guidance.risks}) == len(guidance.risks)


@given(st.integers(10, 1000), st.data())
def test_more_failures_never_make_it_readier(executions: int, data: st.DataObject) -> None:
    failed = data.draw(st.integers(0, executions - 1))
    one, other = (guidance_for(Figures(executions, each)).readiness for each in (failed, failed + 1))
    assert other <= one
