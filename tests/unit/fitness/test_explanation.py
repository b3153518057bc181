"""A score explained: the parts sum to it exactly."""

import math
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autodev_fitness.explanation import Explanation, Heard, explain
from autodev_fitness.scoring import (
    ExternalSignal,
    ProxySignals,
    ProxyWeights,
    SignalKind,
    SignalWeights,
    adjustment,
    clamp,
    proxy_score,
    total_score,
)
from autodev_fitness.variants import Variant
from autodev_fitness.weights import NumberedWeights, Weights

START = datetime(2026, 3, 1, tzinfo=UTC)
WEIGHT = st.floats(-10, 10)
WEIGHTS = st.builds(
    Weights,
    st.builds(ProxyWeights, WEIGHT, WEIGHT, WEIGHT),
    st.just(Weights().measured),
    st.builds(SignalWeights, WEIGHT, WEIGHT, WEIGHT, st.floats(0.001, 1e6), WEIGHT, WEIGHT, WEIGHT),
)
SIGNALS = st.lists(
    st.builds(ExternalSignal, st.just("s"), st.sampled_from(SignalKind), st.floats(0, 1e15)), max_size=40
)
SHOWN = st.builds(ProxySignals, st.booleans(), st.booleans(), st.booleans())


def explained(shown: ProxySignals, signals: list[ExternalSignal], weights: Weights) -> Explanation:
    proxy = proxy_score(shown, weights.proxy)
    variant = Variant(
        id="v",
        parent_variant_id="",
        agent_id="ada",
        workflow_definition={},
        fitness_function="proxy",
        created_at=START,
        fitness_score=total_score(proxy, (adjustment(each, weights.signals) for each in signals)),
        proxy_signals=shown,
        proxy_score=proxy,
        external_signals=tuple(signals),
        last_evaluated_at=START,
        weights_version=1,
    )
    return explain(variant, [Heard(each, START, 9.0) for each in signals], NumberedWeights(1, weights, START))


@given(SHOWN, SIGNALS, WEIGHTS)
def test_the_parts_sum_to_the_score_to_the_last_bit(
    shown: ProxySignals, signals: list[ExternalSignal], weights: Weights
) -> None:
    found = explained(shown, signals, weights)
    assert clamp(math.fsum(fact.adjustment for fact in found.facts)) == found.variant.proxy_score
    added = math.fsum((found.variant.proxy_score, *(step.adjustment for step in found.steps)))
    assert added == found.sum
    assert clamp(added) == found.variant.fitness_score


@given(SHOWN, SIGNALS, WEIGHTS)
def test_each_step_is_the_score_as_it_was_and_begins_where_the_last_one_ended(
    shown: ProxySignals, signals: list[ExternalSignal], weights: Weights
) -> None:
    found = explained(shown, signals, weights)
    before = found.variant.proxy_score
    for count, step in enumerate(found.steps, start=1):
        assert step.score_before == before
        added = [adjustment(each, weights.signals) for each in signals[:count]]
        assert step.score_after == total_score(found.variant.proxy_score, added)
        assert step.clamped == (not 0 <= step.sum_after <= 1)
        before = step.score_after
    assert before == found.variant.fitness_score


def test_clamping_is_shown_where_it_happens() -> None:
    kinds = [SignalKind.CRM_CONVERSION, SignalKind.CONVERSION_SUCCESS, SignalKind.ERROR_SIGNAL, SignalKind.EMAIL_BOUNCE]
    found = explained(ProxySignals(execution_success=True), [ExternalSignal(kind, kind) for kind in kinds], Weights())
    assert [step.score_after for step in found.steps] == pytest.approx([1.0, 1.0, 1.0, 0.8])
    assert [step.sum_after for step in found.steps] == pytest.approx([1.0, 1.6, 1.1, 0.8])
    assert [step.clamped for step in found.steps] == [False, True, True, False]


def test_a_first_runs_facts_may_be_worth_more_than_a_score_can_be() -> None:
    found = explained(ProxySignals(execution_success=True), [], Weights(proxy=ProxyWeights(runs=2)))
    assert [(fact.name, fact.holds) for fact in found.facts] == [("parses", True), ("runs", True), ("approved", False)]
    assert found.proxy_clamped
    assert found.sum == 1


def test_another_function_than_the_proxy_has_no_facts() -> None:
    found = explained(ProxySignals(), [], Weights())
    assert explain(replace(found.variant, fitness_function="acme.cost"), [], found.weights).facts == ()


def test_where_the_weights_are_not_recorded_a_signal_counts_what_it_added_when_it_came() -> None:
    signal = ExternalSignal("s", SignalKind.INVOICE_CREATED)
    variant = explained(ProxySignals(), [], Weights()).variant
    (step,) = explain(variant, [Heard(signal, START, 0.25)], NumberedWeights(0)).steps
    assert step.adjustment == 0.25
